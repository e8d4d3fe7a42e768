// Package evidence decides whether the treatment of a rollout does harm. The decision is valid at any
// time: however often one looks, harmless rollouts are stopped with a probability of at most alpha over
// their whole life.
//
// # The test
//
// Only the first failure of each subject counts, and only if the subject's variant was chosen at random,
// with probability share for the treatment. Without harm, such a subject has the treatment with
// probability share. With failure rates in the ratio r > 1, the probability is
// q = share·r / (share·r + 1 − share). The evidence is the likelihood ratio of q against share, averaged
// over a fixed grid of ratios. Without harm it is a non-negative martingale with mean 1 (a
// supermartingale if the treatment does good), so by Ville's inequality it exceeds 1/alpha with a
// probability of at most alpha.
//
// The evidence depends only on two counters for each share. So outages and drift that affect both arms
// alike do not matter, and replicas can add their counters in any order. If the share changes, each share
// has its own counters, and the evidence is their product.
//
// # Assumptions
//
// The assignment is random and independent of everything before it, the same subject always has the same
// variant, and a subject counts once.
//
// # Sources
//
// M. Lindon and A. Malek, Anytime-Valid Inference for Multinomial Count Data, NeurIPS 2022
// (arXiv 2011.03567). R. Turner, A. Ly and P. Grünwald, Generic E-Variables for Exact Sequential
// k-Sample Tests (arXiv 2106.02693), for the general 2×2 case. J. Ville, Étude critique de la notion de
// collectif, 1939, for the inequality.
package evidence

import "math"

// ratios is the grid of failure ratios, each with the same weight. It covers harm from a fifth more
// failures to twenty times as many.
var ratios = [...]float64{1.2, 1.5, 2, 3, 5, 10, 20}

// Failures counts the first failures of subjects for one share of the treatment.
type Failures struct {
	Share     float64 // of the treatment, above 0 and below 1
	Treatment uint64
	Control   uint64
}

// Log returns the natural logarithm of the evidence. It is 0 for a share that is not above 0 and below 1,
// because then there is nothing to compare.
func (f Failures) Log() float64 {
	if !(f.Share > 0 && f.Share < 1) { // also for NaN
		return 0
	}
	var logs [len(ratios)]float64
	treatment, all := float64(f.Treatment), float64(f.Treatment)+float64(f.Control)
	most := math.Inf(-1)
	for i, r := range ratios {
		// q/share is r/sum, and (1−q)/(1−share) is 1/sum, with sum = 1 + share·(r−1).
		logs[i] = treatment*math.Log(r) - all*math.Log1p(f.Share*(r-1))
		most = max(most, logs[i])
	}
	mean := 0.0
	for _, l := range logs {
		mean += math.Exp(l-most) / float64(len(ratios))
	}
	return most + math.Log(mean)
}

// Log returns the natural logarithm of the evidence for all shares.
func Log(all []Failures) float64 {
	sum := 0.0
	for _, f := range all {
		sum += f.Log()
	}
	return sum
}

// An Arm counts the subjects of one variant.
type Arm struct {
	Failed, Subjects uint64
}

func (a Arm) rate() float64 { return float64(a.Failed) / float64(a.Subjects) }

// A Test is what the guard of a flag asks for.
type Test struct {
	Alpha float64 // probability of a false alarm
	Harm  float64 // absolute increase of the failure rate that matters
}

// Threshold returns the evidence at which the test trips.
func (t Test) Threshold() float64 { return 1 / t.Alpha }

// Trips reports whether the treatment does harm: the evidence has reached the threshold, and the observed
// harm is at least half of the harm that matters. An arm without subjects never trips.
func (t Test) Trips(all []Failures, treatment, control Arm) bool {
	if treatment.Subjects == 0 || control.Subjects == 0 {
		return false
	}
	return Log(all) >= math.Log(t.Threshold()) && treatment.rate()-control.rate() >= t.Harm/2
}
