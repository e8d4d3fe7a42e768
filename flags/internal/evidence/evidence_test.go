package evidence_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags/internal/evidence"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

// The evidence is the mean of binomial likelihood ratios. With few failures they can be computed as they
// are defined.
func TestEvidenceIsAMeanOfLikelihoodRatios(t *testing.T) {
	t.Parallel()
	for _, f := range []evidence.Failures{{0.1, 0, 0}, {0.1, 3, 1}, {0.25, 17, 9}, {0.5, 2, 7}, {0.9, 10, 0}} {
		sum := 0.0
		for _, r := range []float64{1.2, 1.5, 2, 3, 5, 10, 20} {
			q := f.Share * r / (f.Share*r + 1 - f.Share)
			sum += math.Pow(q/f.Share, float64(f.Treatment)) * math.Pow((1-q)/(1-f.Share), float64(f.Control)) / 7
		}
		require.InEpsilon(t, 1+sum, 1+math.Exp(f.Log()), 1e-9, "%v", f)
	}
	shares := []evidence.Failures{{0.1, 5, 2}, {0.5, 4, 3}}
	require.InDelta(t, shares[0].Log()+shares[1].Log(), evidence.Log(shares), 1e-12, "shares are multiplied")
	require.Zero(t, evidence.Log(nil))
}

// Without harm the expected factor of one more failure is 1 at most, whatever came before: this is what
// Ville's inequality needs.
func TestEvidenceIsASupermartingale(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{0.001, 0.1, 0.5, 0.9, 0.999} {
		for _, before := range []evidence.Failures{{share, 0, 0}, {share, 5, 1}, {share, 1, 500}, {share, 300, 2000}} {
			treated, control := before, before
			treated.Treatment++
			control.Control++
			factor := func(p float64) float64 {
				return p*math.Exp(treated.Log()-before.Log()) + (1-p)*math.Exp(control.Log()-before.Log())
			}
			require.InDelta(t, 1, factor(share), 1e-9, "%v", before)
			require.LessOrEqual(t, factor(share*0.5), 1+1e-9, "a treatment that does good, %v", before)
		}
	}
}

func TestTrips(t *testing.T) {
	t.Parallel()
	test := evidence.Test{Alpha: 0.001, Harm: 0.01}
	require.InDelta(t, 1000, test.Threshold(), 1e-9)
	harm := []evidence.Failures{{0.1, 30, 20}}
	require.True(t, test.Trips(harm, evidence.Arm{30, 1000}, evidence.Arm{20, 9000}))
	require.False(t, test.Trips(harm, evidence.Arm{30, 1000}, evidence.Arm{230, 9000}), "less than half of the harm that matters")
	require.False(t, test.Trips([]evidence.Failures{{0.1, 5, 20}}, evidence.Arm{5, 100}, evidence.Arm{20, 9000}), "too little evidence")
	require.False(t, test.Trips(harm, evidence.Arm{}, evidence.Arm{20, 9000}))
	require.False(t, test.Trips(harm, evidence.Arm{30, 1000}, evidence.Arm{}))
	for _, share := range []float64{0, 1, -1, 2, math.NaN(), math.Inf(1)} {
		require.Zero(t, evidence.Failures{share, 1 << 40, 0}.Log(), "%v", share)
	}
	for _, f := range []evidence.Failures{{0.1, math.MaxUint64, 0}, {0.1, 0, math.MaxUint64}, {1e-300, 1 << 60, 1 << 60}, {1 - 1e-16, 1 << 60, 1 << 60}} {
		require.False(t, math.IsNaN(f.Log()), "%v", f)
	}
}

// A rollout is simulated from failure to failure: between two failures the evidence does not change.
type rollout struct {
	share, base, harm float64
	rng               *rand.Rand

	failures           evidence.Failures
	treatment, control evidence.Arm
}

func newRollout(seed uint64, share, base, harm float64) *rollout {
	return &rollout{share: share, base: base, harm: harm, rng: rand.New(rand.NewPCG(seed, 1)), failures: evidence.Failures{Share: share}}
}

// next advances to the next failure.
func (r *rollout) next() {
	fails := r.share*(r.base+r.harm) + (1-r.share)*r.base
	healthy := math.Floor(math.Log(1-r.rng.Float64()) / math.Log(1-fails))
	treated := binomial(r.rng, healthy, r.share*(1-r.base-r.harm)/(1-fails))
	r.treatment.Subjects += uint64(treated)
	r.control.Subjects += uint64(healthy - treated)
	if r.rng.Float64() < r.share*(r.base+r.harm)/fails {
		r.treatment.Failed++
		r.treatment.Subjects++
		r.failures.Treatment++
	} else {
		r.control.Failed++
		r.control.Subjects++
		r.failures.Control++
	}
}

// binomial draws from a binomial distribution, by its normal approximation if n is large.
func binomial(rng *rand.Rand, n, p float64) float64 {
	if n > 100 {
		return min(max(math.Round(n*p+math.Sqrt(n*p*(1-p))*rng.NormFloat64()), 0), n)
	}
	k := 0.0
	for range int(n) {
		if rng.Float64() < p {
			k++
		}
	}
	return k
}

// Harmless rollouts of 20,000 subjects, examined after every failure, cross the threshold with a
// probability of at most alpha. The condition on the observed harm is left out, so a trip is rarer still.
func TestFalseTrips(t *testing.T) {
	t.Parallel()
	const subjects, alpha = 20_000, 0.001
	rollouts := testsize.Pick(100, 500, 10_000)
	// Beyond this bound by chance: less than once in 10,000 runs, and seeds are fixed.
	bound := alpha*float64(rollouts) + 4*math.Sqrt(alpha*float64(rollouts)) + 1
	for _, share := range []float64{0.01, 0.1, 0.5} {
		for _, base := range []float64{0.002, 0.01, 0.05} {
			trips := 0.0
			for seed := range rollouts {
				r := newRollout(uint64(seed), share, base, 0)
				for {
					if r.next(); r.treatment.Subjects+r.control.Subjects > subjects {
						break
					}
					if r.failures.Log() >= math.Log(1/alpha) {
						trips++
						break
					}
				}
			}
			t.Logf("share %v, base rate %v: %.0f of %d trip", share, base, trips, rollouts)
			require.LessOrEqual(t, trips, bound, "share %v, base rate %v", share, base)
		}
	}
}

// An outage and a drift over the day change the failure rate of both arms, and so do not trip.
func TestOutagesOfBothArmsDoNotTrip(t *testing.T) {
	t.Parallel()
	const subjects, alpha, share = 20_000, 0.001, 0.1
	rollouts := testsize.Pick(100, 500, 10_000)
	bound := alpha*float64(rollouts) + 4*math.Sqrt(alpha*float64(rollouts)) + 1
	for name, rate := range map[string]func(i int) float64{
		"outage": func(i int) float64 {
			if i/500%8 == 3 {
				return 0.7
			}
			return 0.01
		},
		"drift": func(i int) float64 { return 0.02 + 0.018*math.Sin(float64(i)/3000) },
	} {
		trips := 0.0
		for seed := range rollouts {
			rng := rand.New(rand.NewPCG(uint64(seed), 2))
			f := evidence.Failures{Share: share}
			for i := range subjects {
				if rng.Float64() >= rate(i) {
					continue
				}
				if rng.Float64() < share {
					f.Treatment++
				} else {
					f.Control++
				}
				if f.Log() >= math.Log(1/alpha) {
					trips++
					break
				}
			}
		}
		require.LessOrEqual(t, trips, bound, name)
	}
}

// A harmful treatment trips soon: the number of treated subjects until then is at most a tenth above the
// reference of the design.
func TestExposureUntilTheTrip(t *testing.T) {
	t.Parallel()
	rollouts := testsize.Pick(100, 400, 10_000)
	slack := testsize.Pick(1.3, 1.1, 1.1)
	for _, c := range []struct{ base, harm, median, p90 float64 }{
		{0.01, 0.01, 2310, 4243},
		{0.01, 0.02, 678, 1328},
		{0.01, 0.05, 169, 321},
		{0.002, 0.01, 813, 1645},
		{0.002, 0.02, 307, 612},
		{0.002, 0.05, 102, 188},
		{0.05, 0.01, 9515, 19376},
		{0.05, 0.02, 2412, 4534},
		{0.05, 0.05, 456, 842},
	} {
		var exposed []float64
		for seed := range rollouts {
			r := newRollout(uint64(seed), 0.1, c.base, c.harm)
			test := evidence.Test{Alpha: 0.001, Harm: 0.01}
			for r.next(); !test.Trips([]evidence.Failures{r.failures}, r.treatment, r.control); r.next() {
				require.Less(t, r.treatment.Subjects, uint64(10_000_000))
			}
			exposed = append(exposed, float64(r.treatment.Subjects))
		}
		slices.Sort(exposed)
		median, p90 := exposed[len(exposed)/2], exposed[len(exposed)*9/10]
		t.Logf("base rate %v, harm %v: median %.0f (reference %.0f), 90th percentile %.0f (%.0f)", c.base, c.harm, median, c.median, p90, c.p90)
		require.LessOrEqual(t, median, slack*c.median, "%+v", c)
		require.LessOrEqual(t, p90, slack*c.p90, "%+v", c)
	}
}

func BenchmarkLog(b *testing.B) {
	f := evidence.Failures{Share: 0.1, Treatment: 17, Control: 90}
	b.ReportAllocs()
	for b.Loop() {
		f.Log()
	}
}
