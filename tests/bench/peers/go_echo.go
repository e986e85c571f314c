// go_echo.go - Go's peer of the thread-per-connection echo server: a goroutine for every connection
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				block := make([]byte, 1024)
				for {
					n, err := c.Read(block)
					if err != nil {
						c.Close()
						return
					}
					if _, err = c.Write(block[:n]); err != nil {
						c.Close()
						return
					}
				}
			}()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}
