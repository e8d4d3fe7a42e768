package registry

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
)

type request struct {
	*http.Request
	w   *recorder
	at  target
	op  Op
	who string

	received bool // the whole body
}

func (r *request) query() (url.Values, *Refusal) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, ruleReason, "the query cannot be read: "+shown(err.Error())+"; escape it, with %3B for a semicolon")
	}
	return values, nil
}

const (
	textType = "text/plain; charset=utf-8"
	jsonType = "application/json"
	zipType  = "application/zip"
)

// answer answers with a value of this package. Caches must not store it.
func (r *request) answer(status int, v any) *Refusal {
	body, err := json.Marshal(v)
	if err != nil {
		return broken(err)
	}
	r.w.Header().Set("Cache-Control", "no-store")
	r.w.Header().Set("Content-Type", jsonType)
	r.w.WriteHeader(status)
	if r.Method != http.MethodHead {
		r.w.Write(append(body, '\n'))
	}
	return nil
}

// A recorder records the status and length of an answer. It keeps ReadFrom, which lets the
// server send files by sendfile.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

func (w *recorder) ReadFrom(src io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	// io.Copy calls the ReadFrom of the server's writer, if it has one.
	n, err := io.Copy(w.ResponseWriter, src)
	w.bytes += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
