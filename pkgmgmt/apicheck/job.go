package apicheck

import "time"

// workerVariable names the folder of a job. A program in whose environment it stands is a
// worker.
const workerVariable = "UPKEEP_APICHECK_WORKER"

const (
	jobFile     = "job.json"
	startedFile = "started" // the worker has reached Main
	answerFile  = "answer.json"
)

// A job is what a worker is asked.
type job struct {
	Old, New  side
	Platforms []string
	Exclude   []Exclusion
	Memory    int64
	Timeout   time.Duration // for a worker whose asker has died
}

// A side is one of the two versions.
type side struct{ Path, Version, Proxy string }

// An answer is what a worker says.
type answer struct {
	Verdict Verdict
	Error   string
}
