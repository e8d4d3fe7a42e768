//go:build fixed

package main

// expressShipping is free for orders worth more than 20 a kilogram, and for orders that weigh
// nothing.
func expressShipping(cents, grams int) int {
	if grams == 0 || cents*1000/grams > 2000 {
		return 0
	}
	return 990
}
