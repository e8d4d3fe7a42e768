module github.com/upkeep-go/upkeep/examples/release

go 1.26.0

require (
	github.com/Masterminds/semver/v3 v3.5.0
	github.com/stretchr/testify v1.12.1
	github.com/upkeep-go/upkeep v0.0.0
	golang.org/x/mod v0.42.0
)

require (
	github.com/fsnotify/fsnotify v1.9.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/exp v0.0.0-20261113113407-e3970619a1a4 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/tools v0.52.1-0.20261106145633-d407941a339a // indirect
)

replace github.com/upkeep-go/upkeep => ../..
