// Sbom writes the bill of materials of a program that the go command built:
//
//	go run . ../../../bin/shop > shop.cdx.json
//
// Without an argument it writes its own bill. A running service can serve the same bill by
// sbom.Handler. The tests check bills against the schema that CycloneDX publishes, with an
// independent validator.
package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/upkeep-go/upkeep/pkgmgmt/sbom"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer, now time.Time) error {
	var bi *debug.BuildInfo
	switch len(args) {
	case 0:
		bi, _ = debug.ReadBuildInfo()
	case 1:
		var err error
		if bi, err = buildinfo.ReadFile(args[0]); err != nil {
			return err
		}
	default:
		return errors.New("takes one program")
	}
	return sbom.Write(stdout, bi, &sbom.Options{Time: now})
}
