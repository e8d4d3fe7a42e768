package version

import "github.com/upkeep-go/upkeep/internal/resource"

// environment is what the process environment says.
type environment struct {
	name        string // OTEL_SERVICE_NAME, else service.name
	version     string // SERVICE_VERSION, else service.version
	revision    string // vcs.ref.head.revision
	environment string // deployment.environment.name, else deployment.environment
	malformed   bool   // OTEL_RESOURCE_ATTRIBUTES does not keep its format
}

func readEnvironment(getenv func(string) string) environment {
	if getenv == nil {
		return environment{}
	}
	attributes, malformed := resource.Attributes(getenv)
	return environment{
		name:        resource.First(getenv("OTEL_SERVICE_NAME"), attributes["service.name"]),
		version:     resource.First(getenv("SERVICE_VERSION"), attributes["service.version"]),
		revision:    resource.First(attributes["vcs.ref.head.revision"]),
		environment: resource.First(attributes["deployment.environment.name"], attributes["deployment.environment"]),
		malformed:   malformed,
	}
}
