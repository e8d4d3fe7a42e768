package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"

	"golang.org/x/mod/module"
)

// patience is how long a publisher waits for another one that may be alive.
const patience = 2 * time.Second

// commit publishes content. The steps, each of which a crash may follow:
//
//  1. The record has the publisher's intention and its claim. A claim of another content
//     that is younger than patience is waited for.
//  2. The zip, go.mod and .info are written. Each write checks the claim while no other
//     write of that file comes between, so a publisher that was taken for dead changes
//     nothing any more.
//  3. The record has the sum.
//  4. The list has the version. From here on the version is acknowledged: it is served, and
//     has this content for ever.
//  5. The claim goes.
//
// settled reports that a version is acknowledged already, and nothing was done. existed
// reports that the same zip was there.
func (c catalog) commit(ctx context.Context, at *target, content *contents, zip *os.File, e Event) (settled, existed bool, err error) {
	if settled, err = c.claim(ctx, at, content.sum, e); settled || err != nil {
		return settled, false, err
	}
	if existed, err = c.putZip(ctx, at, content.sum, zip); err != nil {
		return false, existed, err
	}
	if err := c.putSmall(ctx, at, content, e.Time); err != nil {
		return false, existed, err
	}
	err = c.amend(ctx, at.file, func(j *journal) (bool, error) {
		if j.Claim == nil || j.Claim.Sum != content.sum {
			if j.Sum == content.sum {
				return false, nil // by a twin
			}
			return false, errSuperseded
		}
		zip, err := c.stat(ctx, at.file+".zip")
		if err != nil {
			return false, err
		}
		j.confirm(at.version, content, zip.size)
		return true, nil
	})
	if err == nil {
		err = c.relist(ctx, at)
	}
	if err != nil {
		return false, existed, err
	}
	// Where this fails the list says as much.
	_ = c.amend(ctx, at.file, func(j *journal) (bool, error) {
		if j.Claim == nil || j.Claim.Sum != content.sum {
			return false, nil
		}
		j.Claim = nil
		return true, nil
	})
	return false, existed, nil
}

// claim claims a version that is not acknowledged.
func (c catalog) claim(ctx context.Context, at *target, sum string, e Event) (settled bool, err error) {
	var seen claim
	var since time.Time
	for {
		wait := false
		err := c.amend(ctx, at.file, func(j *journal) (bool, error) {
			wait = false
			acknowledged, err := c.acknowledged(ctx, at, j)
			if settled = acknowledged; acknowledged || err != nil {
				return false, err
			}
			if other := j.Claim; other != nil && other.Sum != sum && time.Since(other.Time) < patience {
				if *other != seen {
					seen, since = *other, time.Now()
				}
				if wait = time.Since(since) < patience; wait {
					return false, nil
				}
			}
			j.intend(sum, e)
			j.Claim = &claim{Sum: sum, Time: now()}
			return true, nil
		})
		if settled || err != nil || !wait {
			return settled, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// entitled returns an error unless content of that sum may be written.
func (c catalog) entitled(ctx context.Context, at *target, sum string) error {
	j, _, err := c.readJournal(ctx, at.file)
	if err != nil {
		return err
	}
	if j.Claim != nil && j.Claim.Sum != sum || j.Claim == nil && j.Sum != sum {
		return errSuperseded
	}
	if j.Sum == "" || j.Sum == sum {
		return nil
	}
	acknowledged, err := c.acknowledged(ctx, at, j)
	if err == nil && acknowledged {
		err = errSuperseded
	}
	return err
}

// putZip sees to it that the store has a zip of that sum.
func (c catalog) putZip(ctx context.Context, at *target, sum string, zip *os.File) (existed bool, err error) {
	name := at.file + ".zip"
	if _, err := zip.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	if err := c.store.Create(ctx, name, zip); !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	if stored, err := c.sumOfZip(ctx, at); err == nil && stored == sum {
		return true, nil
	}
	if _, err := zip.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	check := func() error { return c.entitled(ctx, at, sum) }
	if r, ok := c.store.(Replacer); ok {
		return false, r.Replace(ctx, name, zip, check)
	}
	info, err := zip.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() > maxSmall {
		return false, refuse(http.StatusConflict, ruleImmutable, fmt.Sprintf("%s@%s was begun with another content, which this registry's store cannot replace: take the next version", at.module, at.version))
	}
	data, err := io.ReadAll(zip)
	if err != nil {
		return false, err
	}
	return false, c.store.Update(ctx, name, func([]byte) ([]byte, error) { return data, check() })
}

func (c catalog) putSmall(ctx context.Context, at *target, content *contents, published time.Time) error {
	info, err := at.info(published)
	if err != nil {
		return err
	}
	for _, file := range []struct {
		end  string
		data []byte
	}{{".mod", content.goMod}, {".info", info}} {
		err := c.store.Update(ctx, at.file+file.end, func(old []byte) ([]byte, error) {
			if bytes.Equal(old, file.data) && old != nil {
				return nil, nil
			}
			return file.data, c.entitled(ctx, at, content.sum)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *target) info(published time.Time) ([]byte, error) {
	if module.IsPseudoVersion(t.version) {
		var err error
		if published, err = module.PseudoVersionTime(t.version); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal(versionInfo{Version: t.version, Time: published.UTC().Truncate(time.Second)})
	return append(data, '\n'), err
}

// lostJournal makes a journal for a version that the list has and that has no record: its
// zip says what was acknowledged. Without a record in the list there is nothing yet.
func (c catalog) lostJournal(ctx context.Context, at *target, content *contents) (*journal, error) {
	list, err := readSmall(ctx, c.store, at.list())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !isListed(list, at.version) {
		return &journal{}, nil
	}
	sum, err := c.sumOfZip(ctx, at)
	if err != nil || sum != content.sum {
		return nil, refuse(http.StatusConflict, ruleImmutable, fmt.Sprintf("%s@%s is in the list, and its record is lost: take the next version", at.module, at.version))
	}
	if err := c.restore(ctx, at, content); err != nil {
		return nil, err
	}
	j, _, err := c.readJournal(ctx, at.file)
	return j, err
}

// restore makes a record of what the zip in the store says. What was done to the version
// before is lost.
func (c catalog) restore(ctx context.Context, at *target, content *contents) error {
	zip, err := c.stat(ctx, at.file+".zip")
	if err != nil {
		return err
	}
	published := now()
	if data, err := readSmall(ctx, c.store, at.file+".info"); err == nil {
		var info versionInfo
		if json.Unmarshal(data, &info) == nil && !info.Time.IsZero() {
			published = info.Time
		}
	}
	return c.amend(ctx, at.file, func(j *journal) (bool, error) {
		if j.Sum != "" {
			return false, nil
		}
		j.intend(content.sum, Event{Time: published, What: "published"})
		j.confirm(at.version, content, zip.size)
		j.Claim = nil
		return true, nil
	})
}

// mend puts in order what is damaged of an acknowledged version, with its content.
func (c catalog) mend(ctx context.Context, at *target, j *journal, content *contents, zip *os.File) error {
	if _, err := c.proveZip(ctx, at); err != nil {
		if stored, err := c.sumOfZip(ctx, at); err != nil || stored != content.sum {
			if _, err := c.putZip(ctx, at, content.sum, zip); err != nil {
				return err
			}
		}
		if err := c.mendSmall(ctx, at, j, content); err != nil {
			return err
		}
	}
	return c.relist(ctx, at)
}

func (c catalog) mendSmall(ctx context.Context, at *target, j *journal, content *contents) error {
	var published time.Time
	if len(j.Events) > 0 {
		published = j.Events[0].Time
	}
	if err := c.putSmall(ctx, at, content, published); err != nil {
		return err
	}
	return c.amend(ctx, at.file, func(j *journal) (bool, error) {
		zip, err := c.stat(ctx, at.file+".zip")
		if err != nil || j.Sum != content.sum || j.Size == zip.size {
			return false, err
		}
		j.Size = zip.size
		return true, nil
	})
}
