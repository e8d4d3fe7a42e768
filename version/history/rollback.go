package history

// A Rollback says why a [Change] is one. The zero Rollback means that it is none.
type Rollback string

const (
	// RollbackDeclared means that the deployer has said so, in [Deployment].
	RollbackDeclared Rollback = "declared"
	// RollbackRanBefore means that the build, or its version and revision, ran there before
	// the one that it takes the place of.
	RollbackRanBefore Rollback = "ran before"
	// RollbackLowerRelease means that the version is lower, by [version.Compare]. It is a
	// guess.
	RollbackLowerRelease Rollback = "lower release"
	// RollbackOlderCommit means that the versions cannot be compared, and that the commit is
	// older. It is a guess.
	RollbackOlderCommit Rollback = "older commit"
)

// Guess reports whether the history has not seen that it is a rollback, and the deployer
// has not said it.
func (r Rollback) Guess() bool { return r == RollbackLowerRelease || r == RollbackOlderCommit }
