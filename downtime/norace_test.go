//go:build !race

package downtime_test

const raced = false
