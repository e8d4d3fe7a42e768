package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// golangSumDB is the key of the Go project's checksum database, as in the go command.
const golangSumDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

// maxSumFile bounds a file of a checksum database. A full data tile has 256 records.
const maxSumFile = 1 << 20

// The folders of a checksum database in the cache: files that this registry has verified, and
// files that it has only passed on.
const (
	verifiedFolder = "sumdb/verified/"
	passedFolder   = "sumdb/passed/"
)

// maxLookups is when a client of the database is replaced, because it keeps all lookups in
// memory.
const maxLookups = 1000

// checksums verifies sums by a checksum database that the upstream serves.
type checksums struct {
	up       *upstream
	name     string
	key      string
	required bool

	mu      sync.Mutex
	client  *sumdb.Client
	lookups int

	tree sync.Mutex // held while the tree is read or written
}

func newChecksums(text string, up *upstream) (*checksums, error) {
	db := &checksums{up: up, required: text != ""}
	key, _, more := strings.Cut(text, " ")
	switch {
	case text == "off":
		return nil, nil
	case more:
		return nil, errors.New("must not have a URL, because the upstream serves the database")
	case key == "", key == "sum.golang.org":
		key = golangSumDB
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("must be sum.golang.org, off, or a name with its key, as name+hash+key: %w", err)
	}
	if !isSumDB(v.Name()) {
		return nil, fmt.Errorf("invalid name %q", v.Name())
	}
	db.name, db.key = v.Name(), key
	return db, nil
}

// sum returns the h1: sum of a version's zip or go.mod. Empty means that nothing verifies it.
func (db *checksums) sum(ctx context.Context, at *target, goMod bool) (string, error) {
	if db == nil {
		return "", nil
	}
	if !db.required {
		_, err := db.up.passed(ctx, sumPath{db: db.name, file: "supported"})
		if isMissing(err) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
	}
	version := at.version
	if goMod {
		version += "/go.mod"
	}
	lines, err := db.current().Lookup(at.module, version)
	if err != nil {
		return "", &Refusal{
			Status: http.StatusBadGateway, Rule: ruleChecksum, cause: err,
			Detail: fmt.Sprintf("%s@%s cannot be verified by the checksum database %s", at.module, version, db.name),
		}
	}
	for _, line := range lines {
		if sum, ok := strings.CutPrefix(line, at.module+" "+version+" "); ok && strings.HasPrefix(sum, "h1:") {
			return sum, nil
		}
	}
	return "", refuse(http.StatusBadGateway, ruleChecksum, fmt.Sprintf("%s has no sum of %s@%s", db.name, at.module, version))
}

func (db *checksums) current() *sumdb.Client {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.lookups++; db.client == nil || db.lookups > maxLookups {
		db.client, db.lookups = sumdb.NewClient((*checksumOps)(db)), 0
	}
	return db.client
}

// checksumOps are the operations of a sumdb.Client. They lack a context, so each fetch has its
// own time limit.
type checksumOps checksums

func (o *checksumOps) ReadRemote(path string) ([]byte, error) {
	return o.up.small(context.Background(), "sumdb/"+o.name+path, maxSumFile)
}

func (o *checksumOps) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(o.key), nil
	}
	o.tree.Lock()
	defer o.tree.Unlock()
	return o.readTree()
}

func (o *checksumOps) readTree() ([]byte, error) {
	data, err := o.up.cache.read(context.Background(), verifiedFolder+o.name+"/"+treeFile)
	if err != nil {
		return nil, nil // start with the empty tree
	}
	return data, nil
}

func (o *checksumOps) WriteConfig(_ string, old, new []byte) error {
	o.tree.Lock()
	defer o.tree.Unlock()
	if data, _ := o.readTree(); !bytes.Equal(data, old) {
		return sumdb.ErrWriteConflict
	}
	return o.up.cache.write(context.Background(), verifiedFolder+o.name+"/"+treeFile, new)
}

func (o *checksumOps) ReadCache(file string) ([]byte, error) {
	return o.up.cache.read(context.Background(), verifiedFolder+file)
}

func (o *checksumOps) WriteCache(file string, data []byte) {
	if err := o.up.cache.write(context.Background(), verifiedFolder+file, data); err != nil {
		o.Log(err.Error())
	}
}

func (o *checksumOps) Log(text string) {
	o.up.log.LogAttrs(context.Background(), slog.LevelWarn, "checksum database", slog.String("cause", text))
}

func (o *checksumOps) SecurityError(text string) {
	o.up.log.LogAttrs(context.Background(), slog.LevelError, "the checksum database contradicts itself", slog.String("cause", text))
}

// passed returns a file of a checksum database for the go command, which verifies it. A file
// that this registry has not verified is fetched again when it is no longer fresh, so a wrong
// file does not stay in the cache.
func (u *upstream) passed(ctx context.Context, s sumPath) ([]byte, error) {
	if s.file != "supported" && s.file != "latest" {
		if data, err := u.cache.read(ctx, verifiedFolder+s.db+"/"+s.file); err == nil {
			return data, nil
		}
	}
	return u.changingAs(ctx, passedFolder+s.db+"/"+s.file, "sumdb/"+s.db+"/"+s.file, maxSumFile, func(data []byte) ([]byte, error) {
		return data, checkSumFile(s, data)
	})
}

// checkSumFile refuses content that has another form, such as a login page.
func checkSumFile(s sumPath, data []byte) error {
	switch {
	case s.file == "supported":
		return nil
	case s.file == "latest":
		text, _, ok := bytes.Cut(data, []byte("\n\n"))
		if _, err := tlog.ParseTree(append(text, '\n')); err != nil || !ok {
			return invalid("this is not a signed tree")
		}
	case s.tile != nil && s.tile.L < 0:
		if len(data) == 0 || bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
			return invalid("this is not a tile")
		}
	case s.tile != nil:
		if len(data) != s.tile.W*tlog.HashSize {
			return invalid("a tile has %d bytes, want %d", len(data), s.tile.W*tlog.HashSize)
		}
	default:
		if _, _, _, err := tlog.ParseRecord(data); err != nil {
			return invalid("this is not a record of a checksum database")
		}
	}
	return nil
}

// answerSumDB answers a request for a file of a checksum database. private reports whether the
// name of a module must not be sent to the upstream.
func (u *upstream) answerSumDB(r *request, s sumPath, private func(string) bool) *Refusal {
	if s.module != "" && private(s.module) {
		return refuse(http.StatusNotFound, rulePrivate, s.module+" is private and not in a checksum database: set GONOSUMDB")
	}
	data, err := u.passed(r.Context(), s)
	if err != nil {
		return broken(err)
	}
	kind := textType
	if s.tile != nil {
		kind = "application/octet-stream"
	}
	return send(r, data, kind, fresh)
}
