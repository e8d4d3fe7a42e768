package replay

// FromTest is for tests: Save writes the file.
var FromTest = fromTest
