//go:build !fixed

package main

// expressShipping is free for orders worth more than 20 a kilogram. It has a bug: an order with
// only a gift card weighs nothing.
func expressShipping(cents, grams int) int {
	if cents*1000/grams > 2000 {
		return 0
	}
	return 990
}
