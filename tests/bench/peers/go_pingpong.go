// go_pingpong.go - Go's peers of pingpong.c and create.c: two goroutines and two channels; a goroutine started and awaited
package main

import (
	"fmt"
	"time"
)

func perCall(body func(n int)) float64 {
	body(10)
	for n := 100; ; n *= 4 {
		begin := time.Now()
		body(n)
		if took := time.Since(begin); took > 200*time.Millisecond {
			return float64(took.Nanoseconds()) / float64(n)
		}
	}
}

func main() {
	there, back := make(chan int), make(chan int)
	switches := perCall(func(n int) {
		go func() {
			for i := 0; i < n; i++ {
				back <- <-there
			}
		}()
		for i := 0; i < n; i++ {
			there <- i
			<-back
		}
	})
	fmt.Printf("cond_switch %.2f ns\n", switches/2)
	create := perCall(func(n int) {
		for i := 0; i < n; i++ {
			done := make(chan struct{})
			go func() { close(done) }()
			<-done
		}
	})
	fmt.Printf("create_join %.2f ns\n", create)
}
