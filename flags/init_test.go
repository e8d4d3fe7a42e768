package flags_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

func TestInitThatDidNotWaitIsReadyLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := sourceFunc(func(ctx context.Context) ([]byte, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(3 * time.Second):
				return []byte(bool1("a")), nil
			}
		})
		p, err := flags.New(slow, &flags.Options{Logger: quiet})
		require.NoError(t, err)
		api := isolated.NewAPI()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, api.SetProviderAndWait(ctx, p))
		defer func() { require.NoError(t, api.Shutdown(t.Context())) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.NotEmpty(t, p.Revision())
		require.Equal(t, openfeature.ReadyState, api.NewClient().State())
	})
}

func TestCanceledSourceIsNoShutdown(t *testing.T) {
	t.Parallel()
	_, err := flags.Open(t.Context(), sourceFunc(func(context.Context) ([]byte, error) {
		return nil, fmt.Errorf("rpc: %w", context.Canceled)
	}), &flags.Options{Logger: quiet})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, flags.ErrClosed)
}

type sourceFunc func(context.Context) ([]byte, error)

func (f sourceFunc) Load(ctx context.Context) ([]byte, error) { return f(ctx) }
