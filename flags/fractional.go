package flags

import (
	"math"
	"strconv"

	"github.com/twmb/murmur3"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// A Bucketing is the way in which the operator fractional distributes users over variants. All
// programs that evaluate one document must use the same, or a user gets different variants.
type Bucketing int

const (
	// BucketingV2 is flagd's bucketing today: the bucketing value is a string.
	BucketingV2 Bucketing = iota

	// BucketingV3 is flagd's accepted next bucketing. The bucketing value has any type except
	// null and list, and is hashed in its deterministic CBOR encoding (RFC 8949 §4.2.1). So
	// different pairs of flag key and targeting key can no longer join to the same text.
	BucketingV3
)

// String returns "V2" or "V3".
func (b Bucketing) String() string {
	switch b {
	case BucketingV2:
		return "V2"
	case BucketingV3:
		return "V3"
	}
	return strconv.Itoa(int(b))
}

// fractional is {"fractional": [bucketing value, [variant, weight], …]}: a bucketing value always
// gets the same variant, and many values are distributed over the variants by weight.
//
// With V2 the bucketing value is the first argument if that is a string, and else the flag's key
// and the targeting key joined. With V3 it is the CBOR encoding of the first argument, or else of
// the two keys. The bucket is murmur3_x86_32(value) × sum of the weights >> 32. The variant is
// the first one whose running sum of weights is above the bucket.
func (b Bucketing) fractional(args []jsonlogic.Arg) (jsonlogic.Func, error) {
	if len(args) == 0 {
		return func(s *jsonlogic.Scope) (any, error) { return nothing(s, "it has no arguments"), nil }, nil
	}
	all := newSplit(args)
	if isList(args[0]) {
		return func(s *jsonlogic.Scope) (any, error) { return all.bySubject(s, b), nil }, nil
	}
	rest := newSplit(args[1:])
	if b == BucketingV3 {
		return func(s *jsonlogic.Scope) (any, error) { return rest.byValue(s, args[0].Eval(s)), nil }, nil
	}
	return func(s *jsonlogic.Scope) (any, error) {
		switch first := args[0].Eval(s).(type) {
		case string:
			c := collecting(s)
			if c != nil {
				c.bucketed = append(c.bucketed[:0], first...)
			}
			return rest.of(s, murmur3.StringSum32(first), c), nil
		case nil:
			return rest.bySubject(s, b), nil
		}
		return all.bySubject(s, b), nil
	}, nil
}

func isList(arg jsonlogic.Arg) bool {
	if constant, ok := arg.Const(); ok {
		_, list := constant.([]any)
		return list
	}
	_, list := arg.Items()
	return list
}

// A split is the list of entries of a fractional operation.
type split struct {
	entries []jsonlogic.Arg

	// If every entry is a literal list with a constant weight, which is usual, the sums are
	// computed once. Otherwise sums is nil.
	variants []choice
	sums     []uint64
	computed []jsonlogic.Arg // the variants that are not constant
}

// A choice is a variant of a split: a constant value, or an argument.
type choice struct {
	value    any
	arg      jsonlogic.Arg
	computed bool
}

// choiceOf reads an entry that is a literal list. A nil weight means a missing one.
func choiceOf(entry jsonlogic.Arg) (c choice, weight any, ok bool) {
	if constant, is := entry.Const(); is {
		list, is := constant.([]any)
		if !is || len(list) == 0 {
			return c, nil, false
		}
		if len(list) > 1 {
			weight = list[1]
		}
		return choice{value: list[0]}, weight, true
	}
	items, written := entry.Items()
	if !written || len(items) == 0 {
		return c, nil, false
	}
	if len(items) > 1 {
		if weight, ok = items[1].Const(); !ok {
			return c, nil, false
		}
	}
	if v, constant := items[0].Const(); constant {
		return choice{value: v}, weight, true
	}
	return choice{arg: items[0], computed: true}, weight, true
}

// chosen returns the variant of entry i. For an explanation it also evaluates the entry's node.
func (sp *split) chosen(s *jsonlogic.Scope, i int) any {
	c := sp.variants[i]
	if c.computed {
		return c.arg.Eval(s)
	}
	if s.Explaining() {
		if items, ok := sp.entries[i].Items(); ok {
			items[0].Eval(s)
		}
	}
	return c.value
}

func newSplit(entries []jsonlogic.Arg) *split {
	sp := &split{entries: entries}
	var computed []jsonlogic.Arg
	variants, sums := make([]choice, 0, len(entries)), make([]uint64, 0, len(entries))
	var sum uint64
	for _, entry := range entries {
		c, w, ok := choiceOf(entry)
		if !ok {
			return sp
		}
		weight, ok := weightOf(w)
		if !ok {
			return sp
		}
		sum += weight
		variants, sums = append(variants, c), append(sums, sum)
		if c.computed {
			computed = append(computed, c.arg)
		} else if !namesVariant(c.value) {
			return sp
		}
	}
	if sum <= math.MaxInt32 {
		sp.variants, sp.sums, sp.computed = variants, sums, computed
	}
	return sp
}

// bySubject buckets by the flag's key and the targeting key. Without a targeting key the result
// is null.
func (sp *split) bySubject(s *jsonlogic.Scope, b Bucketing) any {
	ctx, ok := s.Data().(*evalContext)
	if !ok {
		return sp.nothing(s, "there is no targetingKey inside a loop")
	}
	subject, ok := ctx.targetingKey()
	if !ok {
		return sp.nothing(s, "targetingKey is missing, empty or not a string")
	}
	var room [128]byte
	keys := room[:0]
	if b == BucketingV3 {
		keys = appendCBORText(appendCBORText(append(keys, cborArray|2), ctx.flag.key), subject)
	} else {
		keys = append(append(keys, ctx.flag.key...), subject...)
	}
	if !ctx.collecting {
		return sp.of(s, murmur3.Sum32(keys), nil)
	}
	ctx.bucketed = append(ctx.bucketed[:0], keys...)
	return sp.of(s, murmur3.Sum32(keys), ctx)
}

// byValue buckets by a bucketing value of V3.
func (sp *split) byValue(s *jsonlogic.Scope, value any) any {
	switch value.(type) {
	case nil:
		return sp.nothing(s, "the bucketing value is null")
	case []any:
		return sp.nothing(s, "the bucketing value is a list")
	}
	var room [128]byte
	text, ok := appendCBOR(room[:0], value)
	if !ok {
		return sp.nothing(s, "the bucketing value has no encoding")
	}
	c := collecting(s)
	if c != nil {
		c.bucketed = append(c.bucketed[:0], text...)
	}
	return sp.of(s, murmur3.Sum32(text), c)
}

// of returns the variant for the hash of a bucketing value. c is nil unless the exposure is collected.
func (sp *split) of(s *jsonlogic.Scope, hash uint32, c *evalContext) any {
	if sp.sums != nil {
		for _, variant := range sp.computed {
			if !namesVariant(variant.Eval(s)) {
				return sp.nothing(s, "a variant is a list or an object")
			}
		}
		noteBucket(s, hash, sp.sums)
		if i := bucket(hash, sp.sums); i >= 0 {
			if c != nil {
				c.noteSplit(i, sp.sums, func(i int) any { return sp.chosen(s, i) })
			}
			return sp.chosen(s, i)
		}
		return sp.nothing(s, "no entry has any weight")
	}
	variants := make([]any, len(sp.entries))
	sums := make([]uint64, len(sp.entries))
	var sum uint64
	for i, entry := range sp.entries {
		items, ok := entry.Eval(s).([]any)
		if !ok || len(items) == 0 {
			return sp.nothing(s, "an entry is not [variant] or [variant, weight]")
		}
		var w any
		if len(items) > 1 {
			w = items[1]
		}
		weight, ok := weightOf(w)
		switch {
		case !ok:
			return sp.nothing(s, "a weight is not a whole number up to 2^31−1")
		case !namesVariant(items[0]):
			return sp.nothing(s, "a variant is a list or an object")
		}
		sum += weight
		variants[i], sums[i] = items[0], sum
	}
	if sum > math.MaxInt32 {
		return sp.nothing(s, "the weights sum to more than 2^31−1")
	}
	noteBucket(s, hash, sums)
	if i := bucket(hash, sums); i >= 0 {
		if c != nil {
			c.noteSplit(i, sums, func(i int) any { return variants[i] })
		}
		return variants[i]
	}
	return sp.nothing(s, "no entry has any weight")
}

// collecting returns the evaluation if its exposure is collected, and else nil.
func collecting(s *jsonlogic.Scope) *evalContext {
	if c, ok := s.Data().(*evalContext); ok && c.collecting {
		return c
	}
	return nil
}

// nothing returns null. It evaluates all entries, because one of them may fail.
func (sp *split) nothing(s *jsonlogic.Scope, why string) any {
	evaluate(s, sp.entries)
	return nothing(s, why)
}

// nothing returns null and notes the reason for an explanation.
func nothing(s *jsonlogic.Scope, why string) any {
	s.Note("why", why)
	return nil
}

// namesVariant reports whether a value can be the variant of an entry. One list or object makes
// the whole operation null.
func namesVariant(v any) bool {
	switch v.(type) {
	case nil, bool, string, float64, int, int64:
		return true
	}
	return false
}

func noteBucket(s *jsonlogic.Scope, hash uint32, sums []uint64) {
	if !s.Explaining() || len(sums) == 0 {
		return
	}
	weights := make([]any, len(sums))
	for i, sum := range sums {
		if i > 0 {
			sum -= sums[i-1]
		}
		weights[i] = float64(sum)
	}
	total := sums[len(sums)-1]
	s.Note("hash", float64(hash))
	s.Note("bucket", float64(uint64(hash)*total>>32))
	s.Note("of", float64(total))
	s.Note("weights", weights)
}

// bucket returns the index of the entry for a hash, or -1 when all weights are zero.
func bucket(hash uint32, sums []uint64) int {
	if len(sums) == 0 {
		return -1
	}
	at := uint64(hash) * sums[len(sums)-1] >> 32
	for i, sum := range sums {
		if at < sum {
			return i
		}
	}
	return -1
}

// weightOf reads a weight: a whole number of 64 bits. A negative weight counts as 0, and null
// as 1. An integer inside a list of the evaluation context still has its Go type.
func weightOf(v any) (weight uint64, ok bool) {
	var f float64
	switch v := v.(type) {
	case nil:
		f = 1
	case float64:
		f = v
	case int:
		f = float64(v)
	case int64:
		f = float64(v)
	default:
		return 0, false
	}
	if f != math.Trunc(f) || math.IsInf(f, 0) || f > math.MaxInt32 || f < math.MinInt64 {
		return 0, false
	}
	return uint64(max(f, 0)), true
}
