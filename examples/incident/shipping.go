//go:build !fixed

package main

// expressShipping is free for what is worth more than 20 a kilogram. It has a bug: who
// buys nothing but a gift card sends no grams.
func expressShipping(cents, grams int) int {
	if cents*1000/grams > 2000 {
		return 0
	}
	return 990
}
