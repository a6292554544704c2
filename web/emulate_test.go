//go:build services

package web_test

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// emulate chooses the colour scheme that the browser says it prefers.
func emulate(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return chromedp.Void{}, err
	}
}

// do carries out steps in the browser.
func do(ctx context.Context, steps ...chromedp.Action[chromedp.Void]) error {
	_, err := chromedp.Run(ctx, chromedp.Steps(steps...))
	return err
}
