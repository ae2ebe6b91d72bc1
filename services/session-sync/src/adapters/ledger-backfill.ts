/** Health records from before there was a ledger get their entries, in the order of the log. */
export const genesisSql = `
do $body$
declare
  document_row record;
  current uuid;
  place bigint;
  previous text;
  entry_record text;
  entry_salt text;
  entry_commitment text;
begin
  for document_row in
    select * from document where collection = 'health_data' order by space, "offset", id
  loop
    if current is distinct from document_row.space then
      current := document_row.space;
      place := 0;
      previous := encode(sha256(convert_to(current::text, 'UTF8')), 'hex');
    end if;
    place := place + 1;
    entry_salt := gen_random_uuid()::text;
    entry_record := json_build_object('position', place,
      'kind', case when document_row.deleted then 'deleted' else 'recorded' end, 'id', document_row.id,
      'version', document_row.logged_version, 'hash', document_row.hash, 'offset', document_row."offset",
      'timeMs', document_row.updated_at_ms)::text;
    entry_commitment := encode(sha256(convert_to(entry_salt || entry_record, 'UTF8')), 'hex');
    previous := encode(sha256(convert_to(previous || entry_commitment, 'UTF8')), 'hex');
    insert into ledger_entry (space, position, hash, commitment, salt, record)
    values (current, place, previous, entry_commitment, entry_salt, entry_record);
  end loop;
end
$body$;
`;
