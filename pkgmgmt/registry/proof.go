package registry

import (
	stdzip "archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
)

// damaged is the error for an acknowledged version whose files are missing or changed. It
// must not be 404, because the go command would ask the next proxy.
func damaged(at *target, format string, args ...any) *Refusal {
	return &Refusal{
		Status: http.StatusInternalServerError, Rule: ruleStore,
		Detail: fmt.Sprintf("%s@%s is damaged in this registry; publishing the same zip again repairs it", at.module, at.version),
		cause:  fmt.Errorf("%s: "+format, append([]any{at.file}, args...)...),
	}
}

// prove compares the files of a version with what was acknowledged, except the content of the
// zip. The error is fs.ErrNotExist for a version that is not acknowledged.
func (c catalog) prove(ctx context.Context, at *target) (pr proof, err error) {
	j, st, err := c.readJournal(ctx, at.file)
	if errors.Is(err, fs.ErrNotExist) {
		if list, listErr := readSmall(ctx, c.store, at.list()); listErr == nil && isListed(list, at.version) {
			return pr, damaged(at, "its record is lost")
		}
	}
	if err != nil {
		return pr, err
	}
	acknowledged, err := c.acknowledged(ctx, at, j)
	if err != nil {
		return pr, err
	}
	if !acknowledged {
		return pr, &fs.PathError{Op: "open", Path: at.file, Err: fs.ErrNotExist}
	}
	pr = proof{record: st, sum: j.Sum}
	if j.Blocked {
		pr.blocked = j.blockedFor()
	}
	lost := func(end string, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return damaged(at, "its %s is lost", end)
		}
		return err
	}
	if pr.zip, err = c.stat(ctx, at.file+".zip"); err != nil {
		return pr, lost(".zip", err)
	}
	if j.Size > 0 && j.Size != pr.zip.size {
		return pr, damaged(at, "its .zip has %d bytes instead of %d", pr.zip.size, j.Size)
	}
	var data []byte
	if data, pr.mod, err = load(ctx, c.store, at.file+".mod"); err != nil {
		return pr, lost(".mod", err)
	}
	if sumOfGoMod(data) != j.GoModSum {
		return pr, damaged(at, "its .mod has changed since it was published")
	}
	if data, pr.info, err = load(ctx, c.store, at.file+".info"); err != nil {
		return pr, lost(".info", err)
	}
	var info versionInfo
	if json.Unmarshal(data, &info) != nil || info.Version != at.version || info.Time.IsZero() {
		return pr, damaged(at, "its .info cannot be read")
	}
	if last, ok := c.proven.get(at.file); ok && last.sum == pr.sum && last.zip == pr.zip {
		pr.summed = last.summed
	}
	c.proven.put(at.file, pr)
	return pr, nil
}

// small returns the .mod or .info of a version.
func (c catalog) small(ctx context.Context, at *target, end string) ([]byte, proof, error) {
	data, st, err := load(ctx, c.store, at.file+end)
	if pr, ok := c.proven.get(at.file); ok && err == nil {
		proved := pr.info
		if end == ".mod" {
			proved = pr.mod
		}
		if st == proved && c.holds(ctx, at, pr, end) {
			return data, pr, nil
		}
	}
	pr, failed := c.prove(ctx, at)
	if failed != nil {
		return nil, pr, failed
	}
	return data, pr, err
}

// holds reports whether the files of a version have the stamps of a proof. It skips the file
// that the caller has opened and compared.
func (c catalog) holds(ctx context.Context, at *target, pr proof, opened string) bool {
	for _, file := range [...]struct {
		end    string
		proved stamp
	}{{recordEnd, pr.record}, {".zip", pr.zip}, {".mod", pr.mod}, {".info", pr.info}} {
		if file.end == opened {
			continue
		}
		if st, err := c.stat(ctx, at.file+file.end); err != nil || st != file.proved {
			return false
		}
	}
	return true
}

// proveZip is prove, and compares the content of the zip unless that was done before.
func (c catalog) proveZip(ctx context.Context, at *target) (proof, error) {
	pr, err := c.prove(ctx, at)
	if err != nil || pr.summed || c.proven == nil {
		return pr, err
	}
	select {
	case c.proven.sums <- struct{}{}:
		defer func() { <-c.proven.sums }()
	case <-ctx.Done():
		return pr, ctx.Err()
	}
	if last, ok := c.proven.get(at.file); ok && last.summed && last.zip == pr.zip && last.record == pr.record {
		return last, nil // another request did it meanwhile
	}
	sum, err := c.sumOfZip(ctx, at)
	var path *fs.PathError
	switch {
	case err != nil && errors.As(err, &path) && !errors.Is(err, fs.ErrNotExist):
		return pr, err
	case err != nil:
		return pr, damaged(at, "its .zip cannot be read: %v", err)
	case sum != pr.sum:
		return pr, damaged(at, "its .zip has the sum %s instead of %s", sum, pr.sum)
	}
	pr.summed = true
	c.proven.put(at.file, pr)
	return pr, nil
}

func (c catalog) sumOfZip(ctx context.Context, at *target) (string, error) {
	f, err := c.store.Open(ctx, at.file+".zip")
	if err != nil {
		return "", err
	}
	defer f.Close()
	r, ok := f.(io.ReaderAt)
	if !ok {
		temp, err := createTemp(os.TempDir())
		if err != nil {
			return "", err
		}
		defer discard(temp)
		if _, err := io.Copy(temp, f); err != nil {
			return "", err
		}
		r = temp
	}
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	z, err := stdzip.NewReader(r, info.Size())
	if err != nil {
		return "", err
	}
	return sumOfFiles(z)
}
