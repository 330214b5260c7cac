// Narrows an access token with @biscuit-auth/biscuit-wasm, as its holder would: the token, the public key of the
// installation and the Datalog to add are in the environment; the narrowed token goes to standard output.

const log = console.log;
console.log = () => {};
const { Biscuit, PublicKey, SignatureAlgorithm } = await import("@biscuit-auth/biscuit-wasm");
const { TOKEN, KEY, CODE } = process.env;
const token = Biscuit.fromBase64(TOKEN.replace(/^vst_/, ""), PublicKey.fromString(KEY, SignatureAlgorithm.Ed25519));
const block = Biscuit.block_builder();
block.addCode(CODE);
log(`vst_${token.appendBlock(block).toBase64()}`);
