package apicheck

// A ModuleError is a [Module] that is not what Compare can be asked about: its names, its
// place, or a zip or folder that cannot be read or breaks the rules of module zips.
// [Compare] returns it.
type ModuleError struct {
	Path, Version string
	Err           error
}

// Error gives the module and the fault:
//
//	apicheck: corp.example/lib@v1.4: the version is not canonical
func (e *ModuleError) Error() string {
	name := e.Path
	if e.Version != "" {
		name += "@" + e.Version
	}
	if name == "" {
		name = "the module"
	}
	return "apicheck: " + name + ": " + e.Err.Error()
}

func (e *ModuleError) Unwrap() error { return e.Err }
