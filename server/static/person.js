// People, addresses and cards in words.
import {theirs} from "./form.js";
import {element, facts, inner, moment, webLink} from "./words.js";

const RULES = {
  uid: "by its uid", embedded: "as a part of the person", coordinates: "by its coordinates", card: "by its number",
  adopted: "to who waited longest",
};

export function nameOf({first_name: first, last_name: last}) {
  return `${first} ${last}`;
}

export function personRow(person) {
  return element("li", "", element("h3", "", inner(person.id, theirs(nameOf(person)))), facts({
    "User name": person.username, "Gender": person.gender, "Born": person.birth_date, "Job": person.job_title,
    "Lives in": placesOf(person.addresses), "Cards": endingsOf(person.cards),
  }));
}

function placesOf(addresses) {
  const places = addresses.map(({city, country}) => [city, country].filter(Boolean).join(", ")).filter(Boolean);
  return [...new Set(places)].slice(0, 3).join("; ");
}

function endingsOf(cards) {
  return cards.slice(0, 3).map(({last4}) => last4).join(", ");
}

/** All that is known of a person. */
export function wholePerson(person) {
  const {plan, status, payment_method: payment, term} = person.subscription;
  return [
    facts({
      "User name": person.username, "E-mail": person.email, "Phone": person.phone, "Gender": person.gender,
      "Born": person.birth_date, "Job": person.job_title, "Skill": person.key_skill,
      "Picture": person.avatar_url && webLink(person.avatar_url), "Plan": plan, "Status": status, "Pays by": payment,
      "Term": term, "Imported": moment(person.created_at), "Changed": moment(person.updated_at), "uid": person.uid,
    }),
    element("h2", "", "Addresses"), listOf(person.addresses, addressFacts),
    element("h2", "", "Cards"), listOf(person.cards, cardFacts),
  ];
}

function listOf(items, factsOf) {
  if (!items.length) return element("p", "soft", "None yet.");
  return element("ul", "rows", ...items.map((item) => element("li", "", factsOf(item))));
}

export function addressRow(address) {
  return element("li", "", whose(address), addressFacts(address));
}

export function cardRow(card) {
  return element("li", "", whose(card), cardFacts(card));
}

function whose({person_id: person}) {
  return element("p", "by", person === null ? "Without a person" : inner(person, `Of person ${person}`));
}

function addressFacts(address) {
  const {latitude, longitude} = address;
  return facts({
    "Street": address.street_address, "Addition": address.secondary_address, "City": address.city,
    "Zip code": address.zip_code, "State": address.state,
    "Country": [address.country, address.country_code].filter(Boolean).join(", "), "Time zone": address.time_zone,
    "Coordinates": latitude === null ? null : `${latitude}, ${longitude}`, "Linked": linkOf(address),
    "uid": address.uid,
  });
}

function cardFacts(card) {
  return facts({"Type": card.type, "Ends in": card.last4, "Expires": card.expires, "Linked": linkOf(card),
    "uid": card.uid});
}

function linkOf({link_rule: rule}) {
  return rule && (RULES[rule] ?? rule);
}

/** How many there are. */
export function countsOf({people, addresses, cards, unlinked, links}) {
  const linked = Object.entries(links).map(([rule, number]) => `${number.toLocaleString()} ${RULES[rule] ?? rule}`);
  return facts({
    "People": people.toLocaleString(), "Addresses": `${addresses.toLocaleString()}, ${without(unlinked.addresses)}`,
    "Cards": `${cards.toLocaleString()}, ${without(unlinked.cards)}`, "Links": linked.join(", "),
  });
}

function without(number) {
  return `${number.toLocaleString()} without a person`;
}
