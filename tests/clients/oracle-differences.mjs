// Where the gateway answers otherwise than the official better-auth server, and why that is right.
// Each is `key: [the gateway's, better-auth's]`; those without `cases` are the same wherever that
// member occurs.

const FOR_PAGES_OF_RELATED_ORIGINS = "set-auth-token,x-retry-after";

const EVERYWHERE = [
  {
    why: "pages of related origins may read both, and are told with every answer",
    differs: { "access-control-expose-headers": [FOR_PAGES_OF_RELATED_ORIGINS, "nothing"] },
  },
  {
    why: "nothing about an account stays in a cache",
    differs: { "cache-control": ["no-store", "nothing"] },
  },
];

const ACCOUNTS = [
  {
    why: "the same, beside what better-auth says with a new session",
    differs: { "access-control-expose-headers": [FOR_PAGES_OF_RELATED_ORIGINS, "set-auth-token"] },
  },
  {
    why: "the documented shape has these members; better-auth leaves them out while they are not set",
    differs: {
      "body.session.impersonatedBy": [null, "nothing"],
      "body.session.activeOrganizationId": [null, "nothing"],
      "body.user.image": [null, "nothing"],
      "body.user.banReason": [null, "nothing"],
      "body.user.banExpires": [null, "nothing"],
      "body.user.username": ["a text", "nothing"],
      "body.user.displayUsername": ["a text", "nothing"],
    },
  },
  {
    why: "the administrator who invited the user vouched for the address",
    differs: { "body.user.emailVerified": [true, false] },
  },
  {
    why: "a passkey with user verification is two factors",
    differs: { "body.user.twoFactorEnabled": [true, false] },
  },
  {
    why: "an attempt is over whichever way it ends, and so is its cookie",
    differs: { "cookie challenge": ["taken back", "nothing"] },
  },
];

const POLICY = [
  {
    why: "every passkey is discoverable and verifies its user",
    differs: {
      "body.authenticatorSelection.requireResidentKey": [true, false],
      "body.authenticatorSelection.residentKey": ["required", "preferred"],
      "body.authenticatorSelection.userVerification": ["required", "preferred"],
    },
  },
  {
    why: "authenticators that can are asked to insist on verification themselves",
    differs: {
      "body.extensions.credentialProtectionPolicy": ["a text", "nothing"],
      "body.extensions.enforceCredentialProtectionPolicy": [false, "nothing"],
    },
  },
  {
    why: "no hints are the same as an empty list of hints",
    differs: { "body.hints": ["nothing", "an empty list"] },
  },
];

const PARTICULAR = [
  {
    cases: ["sign-in options", "sign-in options with POST", "sign-in options for an anonymous client"],
    why: "the same when signing in",
    differs: { "body.userVerification": ["required", "preferred"] },
  },
  {
    cases: ["registration with another challenge", "registration with a response that is none"],
    why: "a credential that does not fit is the caller's mistake, not the server's",
    differs: { status: [400, 500] },
  },
  {
    cases: ["update of another's"],
    why: "the answer must not tell whether another user has such a passkey",
    differs: { status: [404, 401], "body.code": ["PASSKEY_NOT_FOUND", "YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY"] },
  },
  {
    cases: ["delete of another's"],
    why: "the same",
    differs: { status: [404, 401], body: ["an object", "nothing"] },
  },
  {
    cases: ["update without a body"],
    why: "a request without a content type is refused before its body is looked at",
    differs: { status: [415, 400], "body.code": ["UNSUPPORTED_MEDIA_TYPE", "VALIDATION_ERROR"] },
  },
  {
    cases: ["related origins"],
    why: "the documented API has it; better-auth has no such route",
    differs: { status: [200, 404], "content-type": ["application/json", "nothing"], body: ["an object", "nothing"] },
  },
  {
    cases: ["sign-in with another challenge"],
    why: "an assertion that does not verify is 401, whatever is wrong with it",
    differs: { status: [401, 400] },
  },
  {
    cases: ["sign-in with a response that is none"],
    why: "what cannot be read names no passkey that could be unknown",
    differs: { status: [400, 401], "body.code": ["VALIDATION_ERROR", "PASSKEY_NOT_FOUND"] },
  },
  {
    cases: ["sign-out", "sign-out for an anonymous client", "list by a token that is none", "get-session by its token"],
    why: "better-auth takes back cookies that the gateway never sets",
    differs: {
      "cookie better-auth.session_data": ["nothing", "taken back"],
      "cookie better-auth.dont_remember": ["nothing", "taken back"],
    },
  },
  {
    cases: ["list by a token that is none", "get-session by its token"],
    why: "a token that is no good says nothing about the cookies of the browser",
    differs: { "cookie session": ["nothing", "taken back"] },
  },
];

/** All that oracle.mjs finds. */
export const DIFFERENCES = [...EVERYWHERE, ...ACCOUNTS, ...POLICY, ...PARTICULAR];

const LIMITS = [
  {
    cases: ["registration, no longer fresh"],
    why: "only a fresh session is given a ceremony, so the ceremony is what is missing",
    differs: { status: [400, 403], "body.code": ["CHALLENGE_NOT_FOUND", "SESSION_NOT_FRESH"] },
  },
  {
    cases: ["update, no longer fresh"],
    why: "on the host of an application every change of an account needs a passkey",
    differs: {
      status: [403, 200],
      "body.passkey": ["nothing", "an object"],
      "body.code": ["SESSION_NOT_FRESH", "nothing"],
      "body.message": ["a text", "nothing"],
    },
  },
  {
    cases: ["sign-out"],
    why: "better-auth takes back cookies that the gateway never sets",
    differs: {
      "cookie __Secure-better-auth.session_data": ["nothing", "taken back"],
      "cookie __Secure-better-auth.dont_remember": ["nothing", "taken back"],
    },
  },
];

/** All that oracle-limits.mjs finds. */
export const LIMIT_DIFFERENCES = [...EVERYWHERE, ...ACCOUNTS, ...POLICY, ...LIMITS];
