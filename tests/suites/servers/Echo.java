// Echo.java - a thread for every connection, garbage with every message; prints its port, ends with its input
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

public class Echo {
    static final List<byte[]>[] kept = new List[16];

    static void serve(Socket socket) {
        try (socket) {
            socket.setTcpNoDelay(true);
            InputStream in = socket.getInputStream();
            OutputStream out = socket.getOutputStream();
            byte[] block = new byte[16384];
            for (int n, turn = 0; (n = in.read(block)) > 0; turn++) {
                byte[] copy = new byte[n];
                System.arraycopy(block, 0, copy, 0, n);
                List<byte[]> some = new ArrayList<>();
                for (int i = 0; i < 20; i++) some.add(new byte[1000]);
                synchronized (kept) {
                    kept[turn % kept.length] = some;
                }
                out.write(copy);
            }
        } catch (java.io.IOException e) {
            // the client is gone
        }
    }

    public static void main(String[] arguments) throws Exception {
        ServerSocket listener = new ServerSocket(0, 1024, InetAddress.getLoopbackAddress());
        System.out.println("port " + listener.getLocalPort());
        System.out.flush();
        Thread acceptor = new Thread(() -> {
            try {
                for (;;) {
                    Socket socket = listener.accept();
                    Thread t = new Thread(null, () -> serve(socket), "connection", 256 * 1024);
                    t.setDaemon(true);
                    t.start();
                }
            } catch (java.io.IOException e) {
                System.exit(3);
            }
        });
        acceptor.setDaemon(true);
        acceptor.start();
        while (System.in.read() >= 0) {
        }
    }
}
