package registry_test

func child() {}
