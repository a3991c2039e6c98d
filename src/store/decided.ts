interface Joining<Join> {
  onRef(column: 'decided_source', op: '=', other: 'source'): Join & Joining<Join>
  onRef(column: 'decided_request_id', op: '=', other: 'request_id'): Join & Joining<Join>
}

/** Joins what the operator's own rule decided of a record. */
export function decided<Join extends Joining<Join>>(join: Join): Join {
  return join.onRef('decided_source', '=', 'source').onRef('decided_request_id', '=', 'request_id')
}
