package migrate

import (
	flagd "github.com/open-feature/go-sdk-contrib/providers/flagd/pkg"
	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags"
)

func flagdBefore() (openfeature.FeatureProvider, error) {
	return flagd.NewProvider(flagd.WithFileResolver(), flagd.WithOfflineFilePath("flags.yaml"))
}

func flagdAfter() (openfeature.FeatureProvider, error) {
	return flags.New(flags.File("flags.yaml"), nil)
}
