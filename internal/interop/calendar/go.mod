module github.com/upkeep-go/upkeep/internal/interop/calendar

go 1.26.0

replace github.com/upkeep-go/upkeep => ../../..

require (
	github.com/arran4/golang-ical v0.3.4
	github.com/stretchr/testify v1.12.1
	github.com/upkeep-go/upkeep v0.0.0
)

require (
	github.com/fsnotify/fsnotify v1.9.0 // indirect
	github.com/golang-jwt/jwt/v5 v5.2.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
