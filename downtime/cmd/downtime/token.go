package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// token makes a key, or mints a token for a downtime.Bypass.
func (c *command) token(args []string) error {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	file, make := flags.String("key", "", ""), flags.Bool("new", false, "")
	audience, window, subject := flags.String("audience", "", ""), flags.String("window", "", ""), flags.String("subject", "", "")
	valid := flags.Duration("for", 0, "")
	if _, err := c.parse(flags, args, 0, 0); err != nil {
		return err
	}
	if *file == "" {
		return usagef("token needs -key FILE")
	}
	if *make {
		if *audience != "" || *window != "" || *subject != "" || *valid != 0 {
			return usagef("-new makes a key and does not take the flags of a token")
		}
		return c.newKey(*file)
	}
	switch {
	case *audience == "" || *subject == "":
		return usagef("token needs -audience, -window and -subject")
	case !schedule.ValidID(*window):
		return usagef("-window must be the id of a window, got %q", *window)
	case *valid < 0:
		return usagef("-for must not be negative, got %v", *valid)
	case *valid == 0:
		*valid = time.Hour
	}
	key, err := readKey(*file)
	if err != nil {
		return err
	}
	now := c.now()
	expires := now.Add(*valid)
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"purpose": downtime.BypassPurpose, "aud": *audience, "sub": *subject, "window": *window,
		"iat": now.Unix(), "exp": expires.Unix(), "jti": rand.Text(),
	})
	t.Header["kid"] = keyID(key.Public().(ed25519.PublicKey))
	text, err := t.SignedString(key)
	if err != nil {
		return err
	}
	return c.print(map[string]any{"token": text, "kid": t.Header["kid"], "expires": expires.UTC().Truncate(time.Second)}, text+"\n")
}

func (c *command) newKey(path string) error {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), f.Sync(), f.Close()); err != nil {
		return err
	}
	id, text := keyID(public), base64.StdEncoding.EncodeToString(public)
	return c.print(map[string]string{"kid": id, "public_key": text, "file": path},
		fmt.Sprintf("kid %s\npublic key %s\n", id, text))
}

// keyID names a key by its hash.
func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:6])
}

func readKey(path string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s: must be a PEM file, as token -new writes it", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: must have a private key in PKCS #8", path)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: must have an Ed25519 key, got %T", path, parsed)
	}
	return key, nil
}
