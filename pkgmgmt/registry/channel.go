package registry

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Channel is a name that stands for a version, such as stable in go get
// corp.example/lib@stable, and the history of what it stood for.
type Channel struct {
	Version string     `json:"version,omitempty"` // what it stands for. Empty means that it is removed
	Moves   []Movement `json:"moves"`             // the oldest first; of more than can be read, some 30,000, the later ones
}

// A Movement of a channel.
type Movement struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version,omitempty"` // Empty means that the channel was removed
	By      string    `json:"by,omitempty"`      // the name that Options.Authorize returned
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

func encodeChannels(channels map[string]*Channel) ([]byte, error) {
	for {
		data, err := json.MarshalIndent(channels, "", "\t")
		if err != nil || len(data) <= maxSmall {
			return data, err
		}
		shorten(channels) // or nobody could read them again
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
