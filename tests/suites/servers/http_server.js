// http_server.js - node's http with a part of each answer from the thread pool; prints its port, ends with its input
const http = require('http'), crypto = require('crypto');
let turn = 0;
const server = http.createServer((request, response) => {
    if (turn++ % 100 == 0)
        crypto.pbkdf2('secret', 'salt', 10, 64, 'sha512', (error, key) => response.end(key.toString('hex')));
    else
        response.end('x'.repeat(1000));
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', 1024, () => console.log('port ' + server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
