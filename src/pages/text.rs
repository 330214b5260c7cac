//! Every sentence that a page shows, one value per language. Sentences that scripts show are in
//! `files/text.js`. Code says credential; people read passkey.

/// Declares the sentences once, with their English wording.
macro_rules! sentences {
    ($($name:ident: $english:literal,)*) => {
        /// The sentences of one language.
        #[derive(Debug)]
        pub struct Text {
            $(pub $name: &'static str,)*
        }

        /// English.
        pub static ENGLISH: Text = Text { $($name: $english,)* };
    };
}

sentences! {
    lang: "en",
    dir: "ltr",

    // Everywhere.
    protected_by: "Protected by Vestibule",
    administrator: "your administrator",
    cancel: "Cancel",
    email: "E-mail",
    name: "Name",
    sign_in: "Sign in",
    sign_in_again: "Sign in again",
    sign_out: "Sign out",
    your_account: "Your account",
    no_script_title: "Passkeys need JavaScript",
    no_script_body: "Please allow JavaScript for this site, then reload the page.",
    no_webauthn_title: "This browser cannot use passkeys",
    no_webauthn_body: "Browsers inside other apps often cannot. Open this page in Safari, Chrome, Edge or Firefox.",
    copy_link: "Copy the link",
    insecure_title: "This connection is not secure",
    insecure_body: "Browsers offer passkeys over HTTPS only. Ask your administrator for the right address.",

    // Sign in.
    continue_to: "Continue to",
    sign_in_with_passkey: "Sign in with a passkey",
    email_or_saved: "Or choose a saved passkey",
    continue_button: "Continue",
    use_email: "Use my e-mail address instead",
    lost_passkey: "Lost your passkey?",
    lost_body_other_device: "If another of your devices has one, press the button above and choose that device.",
    lost_body_ask: "Otherwise, for a new invitation, ask",
    lost_body_code: "Or let us send you a code, and make a new passkey with it.",
    code_email: "Where should the code go?",
    send_code: "Send me a code",
    code: "Code from the message",
    use_code: "Use this code",

    // Enrol.
    create_your_passkey: "Create your passkey",
    checking_link: "Checking your invitation…",
    your_email: "Your e-mail address",
    your_name: "Your name",
    passkey_explained: "A passkey replaces the password. Your device keeps it, and unlocks it with your fingerprint, your face or a PIN.",
    ask_for_new_link: "For a new link, ask",

    // Account.
    applications: "Applications",
    profile: "Profile",
    no_script_account: "To change anything here, please allow JavaScript for this site.",
    welcome_title: "One passkey is one lost phone away from none",
    welcome_body: "Add a second passkey on another device or a security key, so that a lost phone does not lock you out.",
    add_second: "Add a second passkey",
    not_now: "Not now",
    passkeys: "Passkeys",
    add_passkey: "Add a passkey",
    this_one: "This one",
    synced: "Synced",
    may_sync: "Can be synced",
    device_bound: "On one device only",
    added: "Added",
    last_used: "Last used",
    not_used_yet: "Not used yet",
    passkey_name: "Name of this passkey",
    rename: "Rename",
    remove: "Remove",
    save: "Save",
    sessions: "Sessions",
    end_others: "End all others",
    end: "End",
    from_network: "From",
    started: "Started",
    last_seen: "Last seen",

    // The APIs.
    docs_title: "HTTP APIs",
    docs_lead: "What this gateway answers, for people. For programs:",
    docs_apis: "APIs",
    docs_signed_in: "signed in",
    docs_parameters: "Parameters",
    docs_body: "Body",
    docs_answers: "Answers",
    docs_or: "or fails with",
    docs_failures: "How it fails",
    docs_shapes: "Shapes",
    docs_includes: "Also has what this has:",
    docs_optional: "optional",

    // Sign out.
    sign_out_ask: "Sign out?",
    sign_out_ask_body: "You will be signed out of every application behind this page, in this browser.",
    stay: "Stay signed in",
    signed_out: "You are signed out",
    signed_out_body: "You can close this page.",

    // Notices.
    help_from: "If this goes on, ask",
    quote_this: "Please quote:",
    what_we_saw: "What we saw",
    application: "Application",
    route: "Application",
    host: "Host",
    scheme: "Connection",
    cookie: "Session cookie",
    cookie_missing: "did not come back",
    cookie_refused: "came back, but is not valid",
    clock_difference: "Clock difference",
    server_time_is: "the server's clock says",
    another_account: "Use another account",
    refused_title: "Your account has no access here",
    refused_happened: "You are signed in, but this application is not open to your account.",
    refused_advice: "If you have another account, switch to it. If you need access, ask for it.",
    not_found_title: "There is nothing here",
    not_found_happened: "This address does not exist.",
    not_found_advice: "Check it for a typing mistake, or start from your account.",
    unknown_host_title: "This host is not one of ours",
    unknown_host_happened: "The request came to a name for which this gateway has no application.",
    unknown_host_advice: "Check the address. If it is right, the administrator must add a route for it.",
    unreachable_title: "The application does not answer",
    unreachable_happened: "You are signed in, but the application behind this page cannot be reached.",
    slow_title: "The application takes too long",
    slow_happened: "You are signed in, but the application behind this page did not answer in time.",
    upstream_advice: "It may be restarting. Reload the page in a moment.",
    onward_title: "Continue to this application?",
    onward_happened: "A link wants to take you there as yourself.",
    onward_advice: "Continue only if you know this address and meant to go there.",
    resend_title: "Sign in, then send the form again",
    resend_happened: "Your session has ended, so the form was not sent on. Nothing was changed.",
    resend_advice: "Sign in in a new tab, then come back to this one and reload it to send the form again.",
    bad_request_title: "This address cannot be opened",
    bad_request_happened: "The address can be read in more than one way, or cannot be read at all, so it was not passed on.",
    bad_request_advice: "Go back and follow the link again, or type the address by hand.",
    cross_origin_title: "This came from another site",
    cross_origin_happened: "A page of another site tried to change something here in your name. Nothing was changed.",
    cross_origin_advice: "If that is what you wanted, open this application and do it there.",
    not_taken_title: "This request was not passed on",
    not_taken_happened: "The gateway does not take requests of this kind here.",
    not_taken_advice: "Go back and try another way.",
    our_fault_title: "Something went wrong",
    our_fault_happened: "This is a fault of the gateway, not yours.",
    our_fault_advice: "Reload the page in a moment.",
    loop_title: "Signing in does not hold",
    loop_happened: "You signed in, but your browser came back without a valid session. We stopped, so that it does not go round in circles.",
    loop_plain_http: "The likely cause: the page was opened over plain HTTP, where browsers refuse secure cookies. Use the https address.",
    loop_cookie_missing: "The likely cause: cookies are blocked for this site. Allow them, then sign in again.",
    loop_cookie_refused: "The likely cause: the session has just ended, or one of the clocks is wrong. Sign in again.",
}
