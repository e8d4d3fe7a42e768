package pkgmgmt

// ParseBuildInfo is for the tests.
var ParseBuildInfo = parseBuildInfo
