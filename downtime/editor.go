package downtime

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
	"github.com/upkeep-go/upkeep/internal/live"
)

// An Editor changes the document at its source, so that all replicas see the change. Edit reads
// the document, calls change with it, and stores the result. If change returns an error, Edit
// stores nothing and returns that error, wrapped or as it is. No other edit through the same
// Editor may come between the read and the store. change must not keep or alter old.
//
// An implementation must store the whole new document or nothing. It may call change again with a
// newer document, for a store that detects conflicts only when it writes.
//
// Package schedule has the usual changes: [schedule.Begin], [schedule.Complete],
// [schedule.Extend] and [schedule.Cancel].
type Editor interface {
	Edit(ctx context.Context, change func(old []byte) ([]byte, error)) error
}

// FileEditor returns an editor of the file at path, for a guard with [File].
//
// The file must exist. It is replaced atomically: a crash leaves the old document or the new one.
// Its permissions stay; its owner becomes that of the process. If path is a symbolic link, the link
// stays and its target is replaced. Edits of several processes of one machine wait for each other,
// on systems with flock. Edit returns the cause of ctx's end if the wait is too long.
func FileEditor(path string) Editor { return &fileEditor{path: path} }

type fileEditor struct {
	path string
	mu   sync.Mutex
}

func (e *fileEditor) Edit(ctx context.Context, change func(old []byte) ([]byte, error)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	path, err := filepath.EvalSymlinks(e.path)
	if err != nil {
		return err
	}
	f, err := lockFile(ctx, path)
	if err != nil {
		return err
	}
	defer f.Close() // and unlock
	info, err := f.Stat()
	if err != nil {
		return err
	}
	old, err := live.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := change(old)
	if err != nil || bytes.Equal(old, changed) {
		return err
	}
	if len(changed) > live.MaxBytes {
		return live.ErrTooLarge
	}
	return atomicfile.Write(path, changed, info.Mode().Perm())
}

// lockFile opens and locks the file at path. It locks the file itself, which the editor before may
// have replaced in the meantime: then it locks the new one.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	const pause = 10 * time.Millisecond
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		f, err := os.OpenFile(path, os.O_RDONLY|atomicfile.NonBlock, 0)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s: must be a regular file, got %v", path, info.Mode().Type())
		}
		locked := !atomicfile.Supported
		if err == nil && !locked {
			locked, err = atomicfile.Try(f, atomicfile.Exclusive)
		}
		if err == nil && locked {
			if now, err := os.Stat(path); err == nil && os.SameFile(info, now) {
				return f, nil
			}
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		if locked {
			continue // it was replaced
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}
