// Loaded before the endpoint, which would listen on every address: keeps each of its listeners to
// 127.0.0.1, on a port that the kernel chooses, and says which.
const net = require("node:net");

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...given) {
  const ready = given.findLast((argument) => typeof argument === "function");
  this.once("listening", () => console.log(`listening at ${this.address().port}`));
  return listen.call(this, { host: "127.0.0.1", port: 0 }, ready);
};
