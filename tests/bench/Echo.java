// Echo.java - a thread-per-connection echo server as Java programs write it; prints "port N", ends with its standard input
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

public class Echo {
    static void serve(Socket socket) {
        try (socket) {
            socket.setTcpNoDelay(true);
            InputStream in = socket.getInputStream();
            OutputStream out = socket.getOutputStream();
            byte[] block = new byte[1024];
            for (int n; (n = in.read(block)) > 0;) out.write(block, 0, n);
        } catch (Exception e) {
            // the client went away
        }
    }

    public static void main(String[] arguments) throws Exception {
        ServerSocket listener = new ServerSocket(0, 1024, InetAddress.getLoopbackAddress());
        System.out.println("port " + listener.getLocalPort());
        Thread acceptor = new Thread(() -> {
            try {
                for (;;) {
                    Socket socket = listener.accept();
                    new Thread(() -> serve(socket)).start();
                }
            } catch (Exception e) {
                System.exit(1);
            }
        });
        acceptor.setDaemon(true);
        acceptor.start();
        while (System.in.read() >= 0) {}
        System.exit(0);
    }
}
