package main

import "github.com/upkeep-go/upkeep/version"

// release is the shop's version for builds without a version, such as those of "go run". A build in a
// tagged checkout has the version of its tag.
const release = "v1.5.0"

// identify returns the identity of one of the shop's services.
func identify(name string) version.Info {
	info := version.New(&version.Options{Name: name})
	if info.Kind == version.KindDevel || info.Kind == version.KindUnknown {
		return version.New(&version.Options{Name: name, Version: release})
	}
	return info
}
