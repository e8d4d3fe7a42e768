//go:build fixed

package main

// expressShipping is free for what is worth more than 20 a kilogram, and for what weighs
// nothing.
func expressShipping(cents, grams int) int {
	if grams == 0 || cents*1000/grams > 2000 {
		return 0
	}
	return 990
}
