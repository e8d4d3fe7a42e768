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

// patience is how long a publisher waits for another publisher that may be alive.
const patience = 2 * time.Second

// commit publishes content in these steps. A crash may follow each of them.
//
//  1. Write the publisher's intention and claim to the record. If another content has a
//     claim younger than patience, wait.
//  2. Write the zip, go.mod and .info. Each write checks the claim, and no other write of
//     that file comes between. So a publisher that lost its claim changes nothing.
//  3. Write the sum to the record.
//  4. Add the version to the list. From now on the version is acknowledged: it is served,
//     and its content is fixed.
//  5. Remove the claim.
//
// settled reports that the version was acknowledged before, and nothing was done. existed
// reports that the same zip was in the store.
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
				return false, nil // another publisher of the same content did it
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
	// An error does not matter, because the list has the version.
	_ = c.amend(ctx, at.file, func(j *journal) (bool, error) {
		if j.Claim == nil || j.Claim.Sum != content.sum {
			return false, nil
		}
		j.Claim = nil
		return true, nil
	})
	return false, existed, nil
}

// claim claims a version unless it is acknowledged.
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

// entitled returns an error unless content with that sum may be written.
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

// putZip writes the zip unless the store has one with that sum.
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
		return false, refuse(http.StatusConflict, ruleImmutable, fmt.Sprintf("%s@%s has an unfinished upload with other content, which this registry's store cannot replace: publish a new version", at.module, at.version))
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

// lostJournal makes a journal from the zip for a version that is in the list and has lost its
// record. For a version that is not in the list it returns an empty journal.
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
		return nil, refuse(http.StatusConflict, ruleImmutable, fmt.Sprintf("%s@%s is in the list, but its record is lost: publish a new version", at.module, at.version))
	}
	if err := c.restore(ctx, at, content); err != nil {
		return nil, err
	}
	j, _, err := c.readJournal(ctx, at.file)
	return j, err
}

// restore makes a record from the zip in the store. The version's earlier events are lost.
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

// mend repairs the damaged files of an acknowledged version from its content.
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
