package version

// What is told is cut to these lengths, in bytes, by plain.Text.
const (
	// maxValue bounds each field that names something: name, version, revision,
	// environment.
	maxValue = 256
	// maxText bounds every other text: module paths, settings, sections.
	maxText = 4096
)
