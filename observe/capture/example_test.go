package capture_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// A request is redacted, kept and found again. Package observe does the first two.
func Example() {
	redactor, err := capture.NewRedactor(&capture.Redaction{
		Key:  []byte("from where the other secrets are"),
		JSON: []string{"$.items[*].sku"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	bundle := &capture.Bundle{Log: capture.Log{
		Details: capture.Details{Schema: 1, RequestID: "ticket-4711", Route: "/carts/{cart}", Reason: capture.ReasonFailed, Status: 500},
		Entries: []capture.Entry{{Entry: har.Entry{
			Request: har.Request{
				Method: "POST", URL: "/carts/7715?for=ann@shop.test",
				Headers:  []har.NameValue{{Name: "Authorization", Value: "Bearer hunter2"}},
				PostData: &har.PostData{MimeType: "application/json", Text: `{"mail":"ann@shop.test","items":[{"sku":"tea","amount":12}]}`},
			},
		}}},
	}}
	if err := redactor.Redact(bundle); err != nil {
		fmt.Println(err)
		return
	}
	sent := bundle.Log.Entries[0].Request
	fmt.Println(sent.URL)
	fmt.Println(sent.Headers)
	fmt.Println(sent.PostData.Text)

	folder, err := os.MkdirTemp("", "captures-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	store, err := capture.NewDir(folder, &capture.DirOptions{MaxAge: 24 * time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := bundle.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := store.Put(context.Background(), capture.NewName(time.Now()), file); err != nil {
		fmt.Println(err)
		return
	}
	list, err := capture.List(store)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(list), list[0].RequestID, list[0].Route, list[0].Reason, list[0].Status)

	// Ann wants to be forgotten.
	n, err := capture.Erase(context.Background(), store, redactor.Pseudonym("ann@shop.test"))
	fmt.Println(n, "erased", err)
	// Output:
	// /carts/1776?for=jfb%40cwca.example
	// [{Authorization Bearer qmimuk9}]
	// {"mail":"jfb@cwca.example","items":[{"sku":"tea","amount":18}]}
	// 1 ticket-4711 /carts/{cart} failed 500
	// 1 erased <nil>
}

// The handler belongs on a listener for operators, and says no until it is told to
// whom it may say yes.
func ExampleHandler() {
	store, err := capture.NewDir("captures", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	captures, err := capture.Handler(store, &capture.HandlerOptions{Authorize: func(r *http.Request) (string, error) {
		user, password, ok := r.BasicAuth()
		if !ok || password != "of an operator" {
			return "", errors.New("not an operator")
		}
		return user, nil
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	operators := http.NewServeMux()
	operators.Handle("/captures/", captures)

	r := httptest.NewRequest("GET", "/captures/", nil)
	w := httptest.NewRecorder()
	operators.ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)

	r.SetBasicAuth("ann", "of an operator")
	w = httptest.NewRecorder()
	operators.ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)
	// Output:
	// 403 {"type":"about:blank","title":"Forbidden","status":403}
	// 200 {"bundles":[]}
}

func ExampleParse() {
	_, err := capture.Parse("case.har", []byte(`{"log": {"version": "1.1", "entries": []}}`))
	fmt.Println(err)
	// Output:
	// case.har: log.version: must be 1.2, got "1.1"
	// case.har: log.entries: there is none
}

func ExampleRedactor_Pseudonym() {
	redactor, err := capture.NewRedactor(&capture.Redaction{Key: []byte("from where the other secrets are")})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range []string{"ann@shop.test", "4111111111111111", "c0ffee00-1234-4abc-8def-0123456789ab", "Ann said: no", "true"} {
		fmt.Println(redactor.Pseudonym(s))
	}
	// Output:
	// jfb@cwca.example
	// 4116542703298848
	// e6febb89-6831-4ded-8fdb-2049478761ac
	// Jfb hnxe: te
	// true
}
