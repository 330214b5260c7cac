-- Asks Vestibule about a request (HAProxy 2.6 or later). In a frontend:
--     http-request lua.vestibule http://127.0.0.1:8080/auth/forward
-- A yes writes the identity headers; anything else is the answer to the client.

-- What belongs to one connection, or to the body, which is not sent along.
local left_out = {
  ["host"] = true, ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true,
  ["expect"] = true, ["upgrade"] = true, ["x-original-url"] = true, ["x-original-uri"] = true,
  ["x-original-method"] = true,
}

local function is_identity(name)
  return name:find("^remote%-") ~= nil or name == "x-vestibule-assertion"
end

-- HAProxy counts the values of a header from 0; its client wants them from 1.
local function listed(values)
  local list = {}
  for at = 0, #values do
    if values[at] then list[#list + 1] = values[at] end
  end
  return list
end

core.register_action("vestibule", { "http-req" }, function(txn, url)
  local sent, headers = txn.http:req_get_headers(), {}
  for name, values in pairs(sent) do
    if not left_out[name] then headers[name] = listed(values) end
  end
  headers["x-forwarded-method"] = { txn.sf:method() }
  headers["x-forwarded-host"] = { sent["host"] and sent["host"][0] or "" }
  headers["x-forwarded-uri"] = { txn.sf:pathq() }
  local answer = core.httpclient():get({ url = url, headers = headers })
  if answer.status == 200 then
    for name, values in pairs(answer.headers) do
      if is_identity(name) then
        txn.http:req_del_header(name)
        if values[0] ~= "" then txn.http:req_set_header(name, values[0]) end
      end
    end
    return
  end
  local reply = txn:reply()
  -- Without an answer no client is let in.
  reply:set_status(answer.status > 0 and answer.status or 503)
  for name, values in pairs(answer.headers or {}) do
    if name ~= "content-length" and name ~= "transfer-encoding" and name ~= "connection" then
      for _, value in ipairs(listed(values)) do reply:add_header(name, value) end
    end
  end
  reply:set_body(answer.body or "")
  txn:done(reply)
end, 1)
