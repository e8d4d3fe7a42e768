//go:build !(darwin || linux)

package registry_test

const canLimitFiles = false

func limitFiles(uint64) {}
