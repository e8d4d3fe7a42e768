package main

import (
	"bytes"
	"embed"
	"os"
	"path/filepath"
	"text/template"
	"time"
)

//go:embed documents
var embedded embed.FS

// documents is a folder with the shop's documents. The shop watches them, and you edit them.
type documents struct{ dir string }

func (d documents) path(name string) string { return filepath.Join(d.dir, name) }

// copyDocuments creates the folder.
func copyDocuments(w window) (documents, error) {
	dir, err := os.MkdirTemp("", "upkeep-shop-")
	if err != nil {
		return documents{}, err
	}
	d := documents{dir}
	for _, name := range []string{"flags.yaml", "packages.yaml", "peers.yaml"} {
		text, err := embedded.ReadFile("documents/" + name)
		if err != nil {
			return d, err
		}
		if err := d.write(name, text); err != nil {
			return d, err
		}
	}
	return d, d.writeWindow(w)
}

func (d documents) read(name string) ([]byte, error) { return os.ReadFile(d.path(name)) }

// write truncates the file first, as editors do.
func (d documents) write(name string, text []byte) error {
	return os.WriteFile(d.path(name), text, 0o600)
}

func (d documents) replace(name, old, replacement string) error {
	text, err := d.read(name)
	if err != nil {
		return err
	}
	return d.write(name, bytes.ReplaceAll(text, []byte(old), []byte(replacement)))
}

// A window has the values for the template windows.yaml.
type window struct {
	start    time.Time
	duration time.Duration
	cutoff   time.Duration
	end      time.Time // written by an operator to end it early; the zero time means not
}

func (d documents) writeWindow(w window) error {
	t, err := template.ParseFS(embedded, "documents/windows.yaml")
	if err != nil {
		return err
	}
	instant := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format(time.RFC3339Nano)
	}
	var text bytes.Buffer
	err = t.Execute(&text, map[string]any{"Start": instant(w.start), "Duration": w.duration, "Cutoff": w.cutoff, "End": instant(w.end)})
	if err != nil {
		return err
	}
	return d.write("windows.yaml", text.Bytes())
}
