module github.com/upkeep-go/upkeep/internal/interop/recurrence

go 1.26.0

require (
	github.com/robfig/cron/v3 v3.0.1
	github.com/stretchr/testify v1.12.1
	github.com/teambition/rrule-go v1.8.2
	github.com/upkeep-go/upkeep v0.0.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/upkeep-go/upkeep => ../../..
