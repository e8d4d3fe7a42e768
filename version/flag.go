package version

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
)

// BindFlag adds -version to the flags; nil means flag.CommandLine. The flag prints
// [Info.String] and a newline, and then ends the program as -h does:
//
//   - flag.ExitOnError: the program exits with status 0;
//   - flag.PanicOnError: Parse panics with [flag.ErrHelp];
//   - flag.ContinueOnError: Parse goes on, and the result reports that -version was given.
//
// It prints to flags.Output, or to standard output if that is standard error. Like package
// flag it panics if the name is taken.
func BindFlag(info Info, flags *flag.FlagSet) *bool {
	if flags == nil {
		flags = flag.CommandLine
	}
	v := &flagValue{flags: flags, line: info.String()}
	flags.Var(v, "version", "print the version and exit")
	return &v.asked
}

type flagValue struct {
	flags *flag.FlagSet
	line  string
	asked bool
}

func (v *flagValue) IsBoolFlag() bool { return true }

// String is also called on the zero value, by flag.PrintDefaults.
func (v *flagValue) String() string { return strconv.FormatBool(v.asked) }

func (v *flagValue) Set(text string) error {
	asked, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("must be true or false")
	}
	if !asked || v.asked {
		return nil
	}
	v.asked = true
	var out io.Writer = v.flags.Output()
	if out == os.Stderr {
		out = os.Stdout
	}
	_, err = fmt.Fprintln(out, v.line)
	switch v.flags.ErrorHandling() {
	case flag.ExitOnError:
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	case flag.PanicOnError:
		panic(flag.ErrHelp)
	}
	return nil
}
