package registry

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Channel is a movable name for a version, such as stable in
// go get corp.example/lib@stable, with its history.
type Channel struct {
	Version string     `json:"version,omitempty"` // Empty means that the channel is removed
	Moves   []Movement `json:"moves"`             // oldest first; after about 30,000 the older half is dropped
}

// A Movement is one change of a channel.
type Movement struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version,omitempty"` // Empty means that the channel was removed
	By      string    `json:"by,omitempty"`      // the name that Options.Authorize returned
	Reason  string    `json:"reason"`
}

// maxChannels bounds the channels of a module. A new channel replaces a removed one.
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

func encodeChannels(channels map[string]*Channel) ([]byte, error) {
	for {
		data, err := json.MarshalIndent(channels, "", "\t")
		if err != nil || len(data) <= maxSmall {
			return data, err
		}
		shorten(channels) // load refuses larger files
	}
}

func shorten(channels map[string]*Channel) {
	var longest *Channel
	for _, c := range channels {
		if longest == nil || len(c.Moves) > len(longest.Moves) {
			longest = c
		}
	}
	longest.Moves = longest.Moves[(len(longest.Moves)+1)/2:]
}

// forgetRemoved drops the channel that was removed first. It returns false if none was
// removed.
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
