package registry

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// listed gives the list with a version, or without it.
func listed(list []byte, version string, in bool) []byte {
	versions := lines(list)
	at, found := slices.BinarySearchFunc(versions, version, semver.Compare)
	switch {
	case in && !found:
		versions = slices.Insert(versions, at, version)
	case !in && found:
		versions = slices.Delete(versions, at, at+1)
	default:
		if list == nil {
			return []byte{}
		}
		return nil
	}
	return encodeList(versions)
}

func encodeList(versions []string) []byte {
	var b bytes.Buffer
	for _, v := range versions {
		b.WriteString(v)
		b.WriteByte('\n')
	}
	return append([]byte{}, b.Bytes()...)
}

// isListed reports whether a list has a version.
func isListed(list []byte, version string) bool {
	for {
		at := bytes.Index(list, []byte(version))
		if at < 0 {
			return false
		}
		end := at + len(version)
		if (at == 0 || list[at-1] == '\n') && (end == len(list) || list[end] == '\n') {
			return true
		}
		list = list[end:]
	}
}

// highest is the highest release of an ascending list, or the highest version if there
// is no release.
func highest(ascending []string) string {
	for i := len(ascending) - 1; i >= 0; i-- {
		if semver.Prerelease(ascending[i]) == "" {
			return ascending[i]
		}
	}
	if n := len(ascending); n > 0 {
		return ascending[n-1]
	}
	return ""
}

func lines(data []byte) []string {
	return strings.Fields(string(data))
}
