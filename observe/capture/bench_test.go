package capture_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// largeBodies are JSON bodies of 64 KiB, one of each kind that redaction may be slow for.
func largeBodies() map[string]string {
	until := func(open, end string, member func(i int) string) string {
		var b strings.Builder
		b.WriteString(open)
		for i := 0; b.Len() < 64<<10-64; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(member(i))
		}
		return b.String() + end
	}
	word := func(i int) string { return strconv.FormatInt(int64(i)*7919+1<<24, 36) }
	letters := func(i int) string {
		b := []byte("aaaaa")
		for k := range b {
			b[k], i = byte('a'+i%26), i/26
		}
		return string(b)
	}
	return map[string]string{
		"repeated words": until("[", "]", func(int) string { return `"the same words again and again"` }),
		"words":          until("[", "]", func(i int) string { return `"` + letters(i) + ` ` + letters(i*31+7) + `"` }),
		"tokens":         until("[", "]", func(i int) string { return `"` + word(i) + `"` }),
		"small fields":   until("{", "}", func(i int) string { return `"a` + letters(i%700) + `":` + strconv.Itoa(i%10) }),
		"objects":        until("[", "]", func(i int) string { return fmt.Sprintf(`{"id":%d,"name":%q,"active":true}`, i, letters(i)) }),
		"a map":          until("{", "}", func(i int) string { return fmt.Sprintf(`"ann.%d@shop.test":%d`, i, i%7) }),
		"nested":         until("[", "]", func(i int) string { return strings.Repeat(`{"in":[`, 90) + strconv.Itoa(i) + strings.Repeat("]}", 90) }),
		"a long text":    `"` + strings.Repeat("Lorem ipsum dolor sit amet, consectetur adipiscing elit. ", 1149) + `"`,
		"one word":       `"` + strings.Repeat("abcdefgh", 8190) + `"`,
		"numbers":        until("[", "]", func(i int) string { return strconv.Itoa(10000 + i) }),
		"digits":         until("[", "]", func(i int) string { return strconv.Itoa(i % 10) }),
		"floats":         until("[", "]", func(i int) string { return fmt.Sprintf("%d.%de-%d", i, i%97, i%30) }),
		"escapes":        until("[", "]", func(i int) string { return `"\n\u00e9\"` + letters(i) + `"` }),
		"times":          until("[", "]", func(i int) string { return fmt.Sprintf(`"2026-03-14T15:%02d:%02d.%03dZ"`, i/60%60, i%60, i%1000) }),
		"addresses":      until("[", "]", func(i int) string { return fmt.Sprintf(`"192.0.%d.%d"`, i/250, i%250+1) }),
		"mails":          until("[", "]", func(i int) string { return fmt.Sprintf(`"%s@shop.test"`, letters(i)) }),
		"ids":            until("[", "]", func(i int) string { return fmt.Sprintf(`"550e8400-e29b-41d4-a716-%012d"`, i) }),
		"links":          until("[", "]", func(i int) string { return fmt.Sprintf(`"https://shop.test/items/%d?as=%s"`, i, letters(i)) }),
		"punctuation":    until("[", "]", func(int) string { return `"a,.-;:_!?"` }),
		"short words":    `"` + until("", "", func(i int) string { return letters(i)[:3] + " " + letters(i * 31)[:4] }) + `"`,
		"two letters":    `"` + until("", "", func(i int) string { return letters(i)[:2] }) + `"`,
		"capitals":       until("[", "]", func(i int) string { return `"` + strings.ToUpper(letters(i)) + `"` }),
		"hex":            until("[", "]", func(i int) string { return fmt.Sprintf(`"%08x"`, i*2654435761&0xffffffff) }),
		"long numbers":   until("[", "]", func(i int) string { return strconv.Itoa(400000000000000000 + i*7919) }),
		"cards":          until("[", "]", func(i int) string { return `"` + strconv.Itoa(4000000000000000+i*10) + `"` }),
		"signed":         until("[", "]", func(i int) string { return fmt.Sprintf("-%d.%d", i, i%10) }),
		"tiny keys":      until("{", "}", func(i int) string { return `"` + letters(i)[:4] + `":1` }),
		"a tiny map":     until("{", "}", func(i int) string { return `"` + strconv.Itoa(i) + `":""` }),
		"ideographs":     until("[", "]", func(i int) string { return `"` + string(rune(0x4e00+i%20000)) + `"` }),
		"Cyrillic": until("[", "]", func(i int) string {
			return `"` + string([]rune{0x410 + rune(i%32), 0x430 + rune(i/32%32), 0x430 + rune(i/1024)}) + `"`
		}),
		"unicode":        until("[", "]", func(i int) string { return fmt.Sprintf(`"\u%04x"`, i) }),
		"not UTF-8":      until("[", "]", func(int) string { return "\"\xff\"" }),
		"control":        until("[", "]", func(int) string { return `"\u0000\t"` }),
		"clocks":         until("[", "]", func(i int) string { return fmt.Sprintf(`"%02d:%02d:%02d"`, i/3600%24, i/60%60, i%60) }),
		"no dates":       until("[", "]", func(i int) string { return fmt.Sprintf(`"%04d-99-99"`, i) }),
		"dates":          until("[", "]", func(i int) string { return fmt.Sprintf(`"%04d-11-29"`, i+1) }),
		"HTTP dates":     until("[", "]", func(i int) string { return fmt.Sprintf(`"Sun, 29 Nov 2026 01:%02d:%02d GMT"`, i/60%60, i%60) }),
		"no HTTP dates":  until("[", "]", func(i int) string { return fmt.Sprintf(`"Sun, %d Nov"`, i) }),
		"versions":       until("[", "]", func(i int) string { return fmt.Sprintf(`"1.2.3.%d"`, i+256) }),
		"IPv6":           until("[", "]", func(i int) string { return fmt.Sprintf(`"fd::%x"`, i+1) }),
		"no IPv6":        until("[", "]", func(i int) string { return fmt.Sprintf(`"a::%x::b"`, i+1) }),
		"names of C++":   until("[", "]", func(i int) string { return `"a::` + letters(i) + `"` }),
		"prefixes":       until("[", "]", func(i int) string { return fmt.Sprintf(`"10.%d.%d.0/24"`, i/256%256, i%256) }),
		"ports":          until("[", "]", func(i int) string { return fmt.Sprintf(`"10.1.%d.%d:80"`, i/256%256, i%256) }),
		"hosts":          until("[", "]", func(i int) string { return `"a@` + letters(i) + `.test"` }),
		"short links":    until("[", "]", func(i int) string { return `"http://a/` + strconv.Itoa(i) + `"` }),
		"hosts of links": until("[", "]", func(i int) string { return `"http://` + letters(i) + `"` }),
		"odd links":      until("[", "]", func(i int) string { return fmt.Sprintf(`"a://b/%%%02x?%%?%d#%%%02x"`, i%256, i, i/256%256) }),
		"no links":       until("[", "]", func(i int) string { return fmt.Sprintf(`"a://%%%d"`, i) }),
		"a long link":    `"https://shop.test/?` + until("", "", func(i int) string { return letters(i) + "=" + strconv.Itoa(i) })[:4000] + `"`,
		"links in text":  until("[", "]", func(i int) string { return `"see http://a/` + strconv.Itoa(i) + `"` }),
		"slugs":          until("[", "]", func(i int) string { return `"a-` + letters(i) + `-b"` }),
		"paths":          until("[", "]", func(i int) string { return `"/a/` + letters(i) + `.b"` }),
		"arrays":         until("[", "]", func(int) string { return `[]` }),
		"empty objects":  until("[", "]", func(int) string { return `{}` }),
		"JSON in JSON":   `"` + until("[", "]", func(i int) string { return `{\"` + letters(i) + `\":` + strconv.Itoa(i) + `}` }) + `"`,
		"GraphQL":        `{"query":"{` + until("", "", func(i int) string { return `a(b:\"` + letters(i) + `\",c:` + strconv.Itoa(i) + `)` }) + `}"}`,
		"base64": until("[", "]", func(i int) string {
			return `"` + base64.StdEncoding.EncodeToString(sha256.New().Sum([]byte(letters(i)))[:15]) + `"`
		}),
	}
}

func bundleOf(body string) *capture.Bundle {
	return &capture.Bundle{Log: capture.Log{
		Details: capture.Details{Schema: 1},
		Entries: []capture.Entry{{Entry: har.Entry{Request: har.Request{
			Method: "POST", URL: "http://shop.test/", PostData: &har.PostData{MimeType: "application/json", Text: body},
		}}}},
	}}
}

// BenchmarkRedact redacts a JSON body of 64 KiB of each kind.
func BenchmarkRedact(b *testing.B) {
	r := newRedactor(b, capture.Redaction{Words: true})
	for name, body := range largeBodies() {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				bundle := bundleOf(body)
				if err := r.Redact(bundle); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Redaction of a JSON body of 64 KiB allocates at most 1 MiB in at most 8,000 pieces, whatever is in the
// body.
func TestRedactionIsBounded(t *testing.T) { // not parallel: others would be counted
	if raceEnabled {
		t.Skip("measures: under the race detector pools lose what they hold")
	}
	r := newRedactor(t, capture.Redaction{Words: true})
	for name, body := range largeBodies() {
		const bytes, pieces = 1 << 20, 8000
		// The pools of package json may be emptied at any time, so the best of several runs counts.
		var before, after runtime.MemStats
		for range 50 {
			bundle := bundleOf(body)
			runtime.ReadMemStats(&before)
			require.NoError(t, r.Redact(bundle))
			runtime.ReadMemStats(&after)
			if after.TotalAlloc-before.TotalAlloc <= bytes && after.Mallocs-before.Mallocs <= pieces {
				break
			}
		}
		require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(bytes), name)
		require.LessOrEqual(t, after.Mallocs-before.Mallocs, uint64(pieces), name)
	}
}
