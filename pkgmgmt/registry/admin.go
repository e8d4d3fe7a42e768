package registry

import (
	"errors"
	"io/fs"
	"net/http"
)

// reason reads the reason of a change, which must be given.
func (r *request) reason() (string, *Refusal) {
	query, p := r.query()
	if p != nil {
		return "", p
	}
	text := firstLine(query.Get("reason"), maxReason)
	if text == "" {
		return "", refuse(http.StatusUnprocessableEntity, ruleReason, "a reason is required, in the query, which is one line of text: ?reason=…")
	}
	return text, nil
}

// answerMark yanks or blocks a version (PUT), or takes that back (DELETE).
func (g *Registry) answerMark(r *request) *Refusal {
	why, p := r.reason()
	if p != nil {
		return p
	}
	after, err := g.markVersion(r.Context(), &r.at, r.Method == http.MethodPut, r.who, why)
	if err != nil {
		return absent(err, r.at.module+"@"+r.at.version)
	}
	return r.answer(http.StatusOK, after)
}

// answerChannel lets a channel stand for a version (PUT), or removes it (DELETE).
func (g *Registry) answerChannel(r *request) *Refusal {
	why, p := r.reason()
	if p != nil {
		return p
	}
	after, err := g.setChannel(r.Context(), &r.at, r.who, why)
	if err != nil {
		what := r.at.version
		if what == "" || after != nil {
			what = r.at.channel
		}
		return absent(err, r.at.module+"@"+what)
	}
	return r.answer(http.StatusOK, after)
}

// answerChannels answers with all channels of a module.
func (g *Registry) answerChannels(r *request) *Refusal {
	channels, err := g.channels(r.Context(), &r.at)
	if errors.Is(err, fs.ErrNotExist) {
		// A module without channels is not a missing module.
		channels = map[string]*Channel{}
		_, err = readSmall(r.Context(), g.store, r.at.base+listFile)
	}
	if err != nil {
		return absent(err, r.at.module)
	}
	return r.answer(http.StatusOK, channels)
}

// answerRecord answers with the record of a version.
func (g *Registry) answerRecord(r *request) *Refusal {
	rec, err := g.readRecord(r.Context(), &r.at)
	if err != nil {
		return absent(err, r.at.module+"@"+r.at.version)
	}
	return r.answer(http.StatusOK, rec)
}
