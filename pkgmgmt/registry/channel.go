package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"golang.org/x/mod/module"
)

// A Channel is a name that stands for a version, such as stable in go get
// corp.example/lib@stable, and the history of what it stood for.
type Channel struct {
	Version string     `json:"version,omitempty"` // what it stands for; empty: it is removed
	Moves   []Movement `json:"moves"`             // the oldest first; of more than can be read, some 30,000, the later ones
}

// A Movement of a channel.
type Movement struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version,omitempty"` // empty: the channel was removed
	By      string    `json:"by,omitempty"`      // the name given to Identify
	Reason  string    `json:"reason"`
}

// maxChannels bounds the channels of a module. Those that were removed make room.
const maxChannels = 100

func decodeChannels(data []byte) (map[string]*Channel, error) {
	channels := map[string]*Channel{}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &channels); err != nil {
			return nil, fmt.Errorf("the channels cannot be read: %v", err)
		}
	}
	return channels, nil
}

// channel gives the version that a channel stands for.
func (g *Registry) channel(ctx context.Context, at *target) (string, *problem) {
	data, err := read(ctx, g.store, at.base+channelsFile)
	if err == nil {
		var channels map[string]*Channel
		if channels, err = decodeChannels(data); err == nil {
			if c := channels[at.channel]; c != nil && c.Version != "" {
				return c.Version, nil
			}
			err = fs.ErrNotExist
		}
	}
	return "", g.absent(err, at.module+"@"+at.channel)
}

// channels answers with all channels of a module.
func (g *Registry) channels(r *request) *problem {
	data, err := read(r.Context(), g.store, r.at.base+channelsFile)
	if errors.Is(err, fs.ErrNotExist) {
		// A module without channels is no missing module.
		_, err = read(r.Context(), g.store, r.at.base+listFile)
	}
	if err != nil {
		return g.absent(err, r.at.module)
	}
	channels, err := decodeChannels(data)
	if err != nil {
		return broken(err)
	}
	r.w.Header().Set("Cache-Control", "no-store")
	writeJSON(r.w, r.Request, http.StatusOK, jsonType, channels)
	return nil
}

// destination sets the version that a channel is to be moved to.
func (t *target) destination(version string) *problem {
	escaped, err := module.EscapeVersion(version)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, ruleVersion, "?version=… is no version: "+err.Error())
	}
	return t.setVersion(escaped)
}

// move lets a channel stand for a version (PUT), or removes it (DELETE).
func (g *Registry) move(r *request) *problem {
	ctx, at := r.Context(), &r.at
	why, p := reason(r)
	if p != nil {
		return p
	}
	version := at.version // empty: nothing any more
	if version != "" {
		rec, err := readRecord(ctx, g.store, at.file)
		if err != nil {
			return g.absent(err, at.module+"@"+version)
		}
		if rec.Yanked || rec.Blocked {
			return refuse(http.StatusConflict, ruleChannel, fmt.Sprintf("%s@%s is yanked or blocked: a channel cannot be moved there", at.module, version))
		}
	}
	var after *Channel
	err := g.store.Update(ctx, at.base+channelsFile, func(old []byte) ([]byte, error) {
		channels, err := decodeChannels(old)
		if err != nil {
			return nil, err
		}
		c := channels[at.channel]
		switch {
		case c == nil && version == "":
			return nil, fs.ErrNotExist
		case c == nil && len(channels) >= maxChannels && !forgetRemoved(channels):
			return nil, refuse(http.StatusUnprocessableEntity, ruleChannel, fmt.Sprintf("a module has at most %d channels", maxChannels))
		case c == nil:
			c = &Channel{}
			channels[at.channel] = c
		}
		after = c
		if c.Version == version && len(c.Moves) > 0 {
			return nil, nil
		}
		c.Version = version
		c.Moves = append(c.Moves, Movement{Time: now(), Version: version, By: r.who, Reason: why})
		for {
			data, err := json.MarshalIndent(channels, "", "\t")
			if err != nil || len(data) <= maxSmall {
				return data, err
			}
			shorten(channels) // or nobody could read them again
		}
	})
	if err != nil {
		return g.absent(err, at.module+"@"+at.channel)
	}
	r.w.Header().Set("Cache-Control", "no-store")
	writeJSON(r.w, r.Request, http.StatusOK, jsonType, after)
	return nil
}

// shorten drops the older half of the longest history.
func shorten(channels map[string]*Channel) {
	var longest *Channel
	for _, c := range channels {
		if longest == nil || len(c.Moves) > len(longest.Moves) {
			longest = c
		}
	}
	longest.Moves = longest.Moves[(len(longest.Moves)+1)/2:]
}

// forgetRemoved makes room for a channel: of those that stand for nothing any more the one
// that was removed first is forgotten.
func forgetRemoved(channels map[string]*Channel) bool {
	first, at := "", time.Time{}
	for name, c := range channels {
		if c.Version != "" {
			continue
		}
		var removed time.Time
		if n := len(c.Moves); n > 0 {
			removed = c.Moves[n-1].Time
		}
		if first == "" || removed.Before(at) {
			first, at = name, removed
		}
	}
	delete(channels, first)
	return first != ""
}
